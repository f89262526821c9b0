;; Overflows its stack before its first call.
(func $deep (call $deep) (call $deep))
(start $deep)
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32) (i32.const 1024))
