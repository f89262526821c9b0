;; A fixer that imports the interface that runs programs.
(import "cofferdam:tool/tool@0.1.0" "keep" (func $keep (param i32 i32 i32 i32 i32)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32) (i32.const 1024))
