;; Records network cards without end.
(import "cofferdam:disk/machine@0.1.0" "add-nic"
  (func $add-nic (param i32 i32 i32 i32 i32 i32)))
(data (i32.const 512) "00:50:56:aa:bb:cc")
(func (export "cofferdam:plugin/discovery@0.1.0#discover") (param i32 i32) (result i32)
  (loop $again
    (call $add-nic (i32.const 512) (i32.const 17) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64))
    (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))
    (br $again))
  (unreachable))
