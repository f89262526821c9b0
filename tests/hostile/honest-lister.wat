;; Lists the root of its guest to the end, and is content whatever it is told.
(import "cofferdam:guest/view@0.1.0" "list-directory"
  (func $list-directory (param i32 i32 i32 i32 i32 i32)))
(data (i32.const 512) "/")
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (call $list-directory (i32.const 512) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 10)
    (i32.const 64))
  (i32.const 1024))
