;; Uses handles that it was never given.
(import "wasi:io/poll@0.2.6" "[method]pollable.ready"
  (func $ready (param i32) (result i32)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (drop (call $ready (i32.const 12345)))
  (i32.const 1024))
