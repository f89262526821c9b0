;; Logs a surrogate, which WTF-8 has and UTF-8 does not.
(import "cofferdam:runtime/context@0.1.0" "log"
  (func $log (param i32 i32 i32 i32 i32)))
(data (i32.const 512) "\ed\a0\80")
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (call $log (i32.const 1) (i32.const 512) (i32.const 3) (i32.const 0) (i32.const 0))
  (i32.const 1024))
