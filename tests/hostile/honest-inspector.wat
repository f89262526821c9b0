;; What is on the first device is a Linux, mounted at the root.
(import "cofferdam:guest/findings@0.1.0" "set-operating-system"
  (func $set-operating-system (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
(import "cofferdam:guest/findings@0.1.0" "add-mount"
  (func $add-mount (param i32 i32 i32 i32 i32 i32)))
(data (i32.const 512) "linux/")
(func (export "cofferdam:plugin/inspection@0.1.0#inspect") (result i32)
  (call $set-operating-system (i32.const 512) (i32.const 5) (i32.const 512) (i32.const 5)
    (i32.const 0) (i32.const 0) (i32.const 512) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 64))
  (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))
  (call $add-mount (i32.const 517) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64))
  (i32.const 64))
