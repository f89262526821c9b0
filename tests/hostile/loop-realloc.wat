;; The allocator that the host calls to hand over a result never returns.
(import "cofferdam:runtime/context@0.1.0" "run-id"
  (func $run-id (param i32)))
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (loop $again (br $again))
  (unreachable))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (call $run-id (i32.const 64))
  (i32.const 1024))
