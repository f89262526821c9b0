;; Uses a handle that it dropped.
(import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration"
  (func $subscribe (param i64) (result i32)))
(import "wasi:io/poll@0.2.6" "[method]pollable.ready"
  (func $ready (param i32) (result i32)))
(import "wasi:io/poll@0.2.6" "[resource-drop]pollable"
  (func $drop (param i32)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (local $handle i32)
  (local.set $handle (call $subscribe (i64.const 1)))
  (call $drop (local.get $handle))
  (drop (call $ready (local.get $handle)))
  (i32.const 1024))
