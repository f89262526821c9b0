;; Records a network card whose model is a text of a MiB.
(import "cofferdam:disk/machine@0.1.0" "add-nic"
  (func $add-nic (param i32 i32 i32 i32 i32 i32)))
(data (i32.const 512) "00:50:56:aa:bb:cc")
(func (export "cofferdam:plugin/discovery@0.1.0#discover") (param i32 i32) (result i32)
  (drop (memory.grow (i32.const 32)))
  (call $add-nic (i32.const 512) (i32.const 17) (i32.const 1) (i32.const 131072) (i32.const 1048576) (i32.const 64))
  (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))
  (unreachable))
