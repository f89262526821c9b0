;; Overflows its stack inside the allocator that the host calls, with host frames below it.
(import "cofferdam:runtime/context@0.1.0" "run-id"
  (func $run-id (param i32)))
(func $deep (param i32) (result i32)
  (i32.add (call $deep (local.get 0)) (i32.const 1)))
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (call $deep (i32.const 0)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (call $run-id (i32.const 64))
  (i32.const 1024))
