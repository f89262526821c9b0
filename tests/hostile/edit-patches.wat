;; Writes 16 MiB and changes single bytes of them: each edit keeps the file before and after it.
(import "cofferdam:guest/edits@0.1.0" "patch"
  (func $patch (param i32 i32 i64 i32 i32 i32 i32 i32)))
(import "cofferdam:guest/edits@0.1.0" "write"
  (func $write (param i32 i32 i32 i32 i32 i32 i32)))
(data (i32.const 512) "/etc/fstab")
(data (i32.const 4096) "because")
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (local $at i64)
  (drop (memory.grow (i32.const 300)))
  (call $write (i32.const 512) (i32.const 10) (i32.const 131072) (i32.const 16777216)
    (i32.const 4096) (i32.const 7) (i32.const 64))
  (loop $again
    (local.set $at (i64.add (local.get $at) (i64.const 100000)))
    (call $patch (i32.const 512) (i32.const 10) (local.get $at) (i32.const 4096) (i32.const 1)
      (i32.const 4096) (i32.const 7) (i32.const 64))
    (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))
    (br $again))
  (unreachable))
