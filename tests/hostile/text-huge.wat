;; Logs a text of 17 MiB, more than one call to the host may carry.
(import "cofferdam:runtime/context@0.1.0" "log"
  (func $log (param i32 i32 i32 i32 i32)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (drop (memory.grow (i32.const 300)))
  (call $log (i32.const 1) (i32.const 0) (i32.const 17825792) (i32.const 0) (i32.const 0))
  (i32.const 1024))
