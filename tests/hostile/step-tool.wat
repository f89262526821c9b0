;; A step that runs a program which nobody granted.
(import "cofferdam:tool/tool@0.1.0" "keep" (func $keep (param i32 i32 i32 i32 i32)))
(func (export "cofferdam:plugin/step@0.1.0#execute") (param i32 i32) (result i32)
  (call $keep (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64))
  (i32.const 64))
