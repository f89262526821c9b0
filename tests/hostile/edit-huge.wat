;; Appends 16 MiB again and again: few edits, much to keep.
(import "cofferdam:guest/edits@0.1.0" "append"
  (func $append (param i32 i32 i32 i32 i32 i32 i32)))
(data (i32.const 512) "/etc/fstab")
(data (i32.const 4096) "because")
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (drop (memory.grow (i32.const 300)))
  (loop $again
    (call $append (i32.const 512) (i32.const 10) (i32.const 131072) (i32.const 16777216)
      (i32.const 4096) (i32.const 7) (i32.const 64))
    (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))
    (br $again))
  (unreachable))
