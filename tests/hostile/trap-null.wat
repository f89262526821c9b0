;; Calls what is not in its table.
(type $plain (func))
(table 4 funcref)
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (call_indirect (type $plain) (i32.const 3))
  (i32.const 1024))
