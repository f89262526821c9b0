;; Returns an error whose hint is neither there nor missing.
(data (i32.const 512) "\01\00\00\00\02\00\00\00\00\00\00\00\00\00\00\00\09")
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32) (i32.const 512))
