;; Answers with an error whose message lies outside its memory.
(data (i32.const 512) "\01\00\00\00\02\00\00\00\00\00\00\7f\ff\ff\00\00")
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32) (i32.const 512))
