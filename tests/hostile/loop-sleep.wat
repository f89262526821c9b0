;; Sleeps for a day through WASI: no processor time, only the clock runs.
(import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration"
  (func $subscribe (param i64) (result i32)))
(import "wasi:io/poll@0.2.6" "[method]pollable.block"
  (func $block (param i32)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (call $block (call $subscribe (i64.const 86400000000000)))
  (i32.const 1024))
