;; Plans an edit and gives no reason.
(import "cofferdam:guest/edits@0.1.0" "append"
  (func $append (param i32 i32 i32 i32 i32 i32 i32)))
(data (i32.const 512) "/etc/fstab")
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (call $append (i32.const 512) (i32.const 10) (i32.const 512) (i32.const 1)
    (i32.const 0) (i32.const 0) (i32.const 64))
  (i32.const 64))
