;; Logs bytes that are no UTF-8.
(import "cofferdam:runtime/context@0.1.0" "log"
  (func $log (param i32 i32 i32 i32 i32)))
(data (i32.const 512) "\c3\28\a0\ff")
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (call $log (i32.const 1) (i32.const 512) (i32.const 4) (i32.const 0) (i32.const 0))
  (i32.const 1024))
