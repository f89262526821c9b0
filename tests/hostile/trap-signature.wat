;; Calls through a table with the wrong signature.
(type $other (func (param f64) (result f64)))
(table 1 funcref)
(elem (i32.const 0) $plain)
(func $plain)
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (drop (call_indirect (type $other) (f64.const 1) (i32.const 0)))
  (i32.const 1024))
