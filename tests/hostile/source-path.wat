;; Reads a file that the table of cases chooses, out of the folder of the disk.
(import "cofferdam:disk/source-folder@0.1.0" "read-at"
  (func $read-at (param i32 i32 i64 i32 i32)))
(data (i32.const 512) "{PATH}")
(func (export "cofferdam:plugin/discovery@0.1.0#discover") (param i32 i32) (result i32)
  (call $read-at (i32.const 512) (i32.const {PATH.length}) (i64.const 0) (i32.const 64) (i32.const 64))
  (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))
  (unreachable))
