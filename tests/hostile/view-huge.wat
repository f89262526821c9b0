;; Reads more in one call than one call gives.
(import "cofferdam:guest/view@0.1.0" "read-at"
  (func $read-at (param i32 i32 i64 i32 i32)))
(data (i32.const 512) "/etc/fstab")
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (call $read-at (i32.const 512) (i32.const 10) (i64.const 0) (i32.const 0xffffffff) (i32.const 64))
  (i32.const 64))
