;; Two functions that call each other through a table in a loop, so that no branch goes backwards in one function for long.
(type $step (func (param i32) (result i32)))
(table 2 funcref)
(elem (i32.const 0) $left $right)
(func $left (type $step) (i32.xor (local.get 0) (i32.const 1)))
(func $right (type $step) (i32.xor (local.get 0) (i32.const 1)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (local $which i32)
  (loop $again
    (local.set $which (call_indirect (type $step) (local.get $which) (local.get $which)))
    (br $again))
  (unreachable))
