;; Hands over a list that begins at an odd address.
(import "cofferdam:runtime/context@0.1.0" "log"
  (func $log (param i32 i32 i32 i32 i32)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (call $log (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 2049) (i32.const 1))
  (i32.const 1024))
