;; Fills and copies a table of 20,000 elements again and again.
(table $t 20000 funcref)
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (loop $again
    (table.fill $t (i32.const 0) (ref.null func) (i32.const 20000))
    (table.copy $t $t (i32.const 1) (i32.const 0) (i32.const 19999))
    (br $again))
  (unreachable))
