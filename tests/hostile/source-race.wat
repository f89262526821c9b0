;; Reads a name again and again while somebody changes what it leads to, and dies when it sees what it must not.
(import "cofferdam:disk/source-folder@0.1.0" "read-at"
  (func $read-at (param i32 i32 i64 i32 i32)))
(data (i32.const 512) "raced")
(func (export "cofferdam:plugin/discovery@0.1.0#discover") (param i32 i32) (result i32)
  (local $i i32)
  (loop $again
    (global.set $next (i32.const 65536))
    (call $read-at (i32.const 512) (i32.const 5) (i64.const 0) (i32.const 6) (i32.const 64))
    (if (i32.eqz (i32.load8_u (i32.const 64)))
      (then
        (if (i32.eq (i32.load8_u (i32.load (i32.const 68))) (i32.const 83)) (then (unreachable)))))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $i) (i32.const 3000))))
  (i32.const 1024))
