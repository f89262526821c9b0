;; Changes the mode of one file a million times.
(import "cofferdam:guest/edits@0.1.0" "set-mode"
  (func $set-mode (param i32 i32 i32 i32 i32 i32)))
(data (i32.const 512) "/etc/fstab")
(data (i32.const 4096) "because")
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (local $i i32)
  (loop $again
    (call $set-mode (i32.const 512) (i32.const 10)
      (i32.add (i32.const 256) (i32.and (local.get $i) (i32.const 1)))
      (i32.const 4096) (i32.const 7) (i32.const 64))
    (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))
    ;; What the host reported is taken back: the allocator never frees.
    (global.set $next (i32.const 65536))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $i) (i32.const 1000000))))
  (i32.const 1024))
