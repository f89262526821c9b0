;; Records ever new kernels.
(import "cofferdam:guest/findings@0.1.0" "add-kernel"
  (func $add-kernel (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
(data (i32.const 600) "/boot/k")
(func (export "cofferdam:plugin/inspection@0.1.0#inspect") (result i32)
  (local $n i32)
  (loop $again
    (i32.store8 (i32.const 512) (i32.add (i32.const 65) (i32.and (local.get $n) (i32.const 15))))
    (i32.store8 (i32.const 513) (i32.add (i32.const 65) (i32.and (i32.shr_u (local.get $n) (i32.const 4)) (i32.const 15))))
    (i32.store8 (i32.const 514) (i32.add (i32.const 65) (i32.and (i32.shr_u (local.get $n) (i32.const 8)) (i32.const 15))))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (call $add-kernel (i32.const 512) (i32.const 3) (i32.const 600) (i32.const 7)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64))
    (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))
    (br $again))
  (unreachable))
