;; Answers a read with more than it was asked for.
(import "cofferdam:reply/reply@0.1.0" "put"
  (func $put (param i32 i32)))
(func (export "cofferdam:plugin/file-tree@0.1.0#list-directory")
  (param i32 i32 i32 i32 i32) (result i32)
  (call $put (i32.const 0) (i32.const 4096))
  (i32.const 1024))
