;; Hands over a thousand texts that are all the same 1 MiB.
(import "cofferdam:runtime/context@0.1.0" "log"
  (func $log (param i32 i32 i32 i32 i32)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (local $i i32)
  (drop (memory.grow (i32.const 64)))
  (loop $more
    (i32.store (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 16))) (i32.const 1048576))
    (i32.store (i32.add (i32.const 131076) (i32.mul (local.get $i) (i32.const 16))) (i32.const 1048576))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $more (i32.lt_u (local.get $i) (i32.const 1000))))
  (call $log (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 131072) (i32.const 1000))
  (i32.const 1024))
