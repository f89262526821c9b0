;; Uses an output stream as if it were a pollable.
(import "wasi:cli/stdout@0.2.6" "get-stdout" (func $stdout (result i32)))
(import "wasi:io/poll@0.2.6" "[method]pollable.ready"
  (func $ready (param i32) (result i32)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (drop (call $ready (call $stdout)))
  (i32.const 1024))
