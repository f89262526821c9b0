;; Calls the host before it is instantiated.
(import "cofferdam:runtime/context@0.1.0" "log"
  (func $log (param i32 i32 i32 i32 i32)))
(func $start
  (call $log (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
(start $start)
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32) (i32.const 1024))
