;; Reads and writes its device beyond the end, at offsets that overflow.
(import "cofferdam:disk/devices@0.1.0" "read-at"
  (func $read (param i32 i64 i32 i32)))
(import "cofferdam:disk/devices@0.1.0" "write-at"
  (func $write (param i32 i64 i32 i32 i32)))
(func (export "cofferdam:plugin/file-tree@0.1.0#probe") (result i32)
  (call $read (i32.const 0) (i64.const -1) (i32.const 4096) (i32.const 64))
  (if (i32.eqz (i32.load8_u (i32.const 64))) (then (unreachable)))
  (call $read (i32.const 0) (i64.const 1048575) (i32.const 2) (i32.const 64))
  (if (i32.eqz (i32.load8_u (i32.const 64))) (then (unreachable)))
  (call $write (i32.const 0) (i64.const 0x7fffffffffffffff) (i32.const 0) (i32.const 64) (i32.const 64))
  (if (i32.eqz (i32.load8_u (i32.const 64))) (then (unreachable)))
  (call $read (i32.const 0) (i64.const 0) (i32.const 0xffffffff) (i32.const 64))
  (if (i32.eqz (i32.load8_u (i32.const 64))) (then (unreachable)))
  (call $read (i32.const 4000000000) (i64.const 0) (i32.const 1) (i32.const 64))
  (if (i32.eqz (i32.load8_u (i32.const 64))) (then (unreachable)))
  (i32.const 64))
