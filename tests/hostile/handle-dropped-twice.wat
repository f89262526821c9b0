;; Drops a handle twice, to free what somebody else has by then.
(import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration"
  (func $subscribe (param i64) (result i32)))
(import "wasi:io/poll@0.2.6" "[resource-drop]pollable"
  (func $drop (param i32)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (local $handle i32)
  (local.set $handle (call $subscribe (i64.const 1)))
  (call $drop (local.get $handle))
  (call $drop (local.get $handle))
  (i32.const 1024))
