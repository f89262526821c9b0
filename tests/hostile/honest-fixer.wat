;; Looks at a file and is content with it.
(import "cofferdam:guest/view@0.1.0" "read-at"
  (func $read-at (param i32 i32 i64 i32 i32)))
(data (i32.const 512) "/etc/fstab")
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (call $read-at (i32.const 512) (i32.const 10) (i64.const 0) (i32.const 16) (i32.const 64))
  (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))
  (if (i32.ne (i32.load8_u (i32.load (i32.const 68))) (i32.const 47)) (then (unreachable)))
  (i32.const 1024))
