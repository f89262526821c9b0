;; Its allocator grows and fills memory while the host writes into it.
(import "cofferdam:runtime/context@0.1.0" "run-id"
  (func $run-id (param i32)))
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (local $page i32)
  (local.set $page (memory.grow (i32.const 1)))
  (memory.fill (i32.const 8192) (i32.const 255) (i32.const 8192))
  (i32.mul (local.get $page) (i32.const 65536)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (local $i i32)
  (loop $more
    (call $run-id (i32.const 64))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $more (i32.lt_u (local.get $i) (i32.const 100))))
  (i32.const 1024))
