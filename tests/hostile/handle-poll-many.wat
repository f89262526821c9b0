;; Waits for one handle half a million times in one call.
(import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration"
  (func $subscribe (param i64) (result i32)))
(import "wasi:io/poll@0.2.6" "poll" (func $poll (param i32 i32 i32)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (local $handle i32)
  (local $i i32)
  (drop (memory.grow (i32.const 300)))
  (local.set $handle (call $subscribe (i64.const 1)))
  (loop $more
    (i32.store (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 4))) (local.get $handle))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $more (i32.lt_u (local.get $i) (i32.const 500000))))
  (loop $again
    (call $poll (i32.const 131072) (i32.const 500000) (i32.const 64))
    (br $again))
  (unreachable))
