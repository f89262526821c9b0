;; Logs in a loop, for as long as it may run.
(import "cofferdam:runtime/context@0.1.0" "log"
  (func $log (param i32 i32 i32 i32 i32)))
(data (i32.const 512) "spam")
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (loop $again
    (call $log (i32.const 3) (i32.const 512) (i32.const 4) (i32.const 0) (i32.const 0))
    (br $again))
  (unreachable))
