;; Records short facts under ever new keys.
(import "cofferdam:guest/findings@0.1.0" "set-fact"
  (func $set-fact (param i32 i32 i32 i32 i32)))
(func (export "cofferdam:plugin/inspection@0.1.0#inspect") (result i32)
  (local $n i32)
  (loop $again
    (i32.store8 (i32.const 512) (i32.add (i32.const 65) (i32.and (local.get $n) (i32.const 15))))
    (i32.store8 (i32.const 513) (i32.add (i32.const 65) (i32.and (i32.shr_u (local.get $n) (i32.const 4)) (i32.const 15))))
    (i32.store8 (i32.const 514) (i32.add (i32.const 65) (i32.and (i32.shr_u (local.get $n) (i32.const 8)) (i32.const 15))))
    (i32.store8 (i32.const 515) (i32.add (i32.const 65) (i32.and (i32.shr_u (local.get $n) (i32.const 12)) (i32.const 15))))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (call $set-fact (i32.const 512) (i32.const 4) (i32.const 512) (i32.const 4) (i32.const 64))
    (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))
    (br $again))
  (unreachable))
