;; Records its one disk a million times.
(import "cofferdam:disk/machine@0.1.0" "add-disk"
  (func $add-disk (param i32 i32 i32 i32 i32)))
(data (i32.const 512) "raw")
(func (export "cofferdam:plugin/discovery@0.1.0#discover") (param i32 i32) (result i32)
  (loop $again
    (call $add-disk (local.get 0) (local.get 1) (i32.const 512) (i32.const 3) (i32.const 64))
    (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))
    (br $again))
  (unreachable))
