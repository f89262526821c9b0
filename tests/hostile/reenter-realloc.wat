;; Calls the host from the allocator that the host calls.
(import "cofferdam:runtime/context@0.1.0" "run-id"
  (func $run-id (param i32)))
(import "cofferdam:runtime/context@0.1.0" "cancelled"
  (func $cancelled (result i32)))
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (drop (call $cancelled))
  (i32.const 65536))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (call $run-id (i32.const 64))
  (i32.const 1024))
