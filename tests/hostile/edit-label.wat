;; Plans a link with an SELinux label of 8 MiB.
(import "cofferdam:guest/edits@0.1.0" "symlink"
  (func $symlink (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
(data (i32.const 512) "/etc/new")
(data (i32.const 4096) "because")
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (drop (memory.grow (i32.const 300)))
  (memory.fill (i32.const 131072) (i32.const 65) (i32.const 8388608))
  (call $symlink (i32.const 512) (i32.const 8) (i32.const 4096) (i32.const 7)
    (i32.const 0x1ff) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 131072) (i32.const 8388608)
    (i32.const 4096) (i32.const 7) (i32.const 64))
  (i32.const 64))
