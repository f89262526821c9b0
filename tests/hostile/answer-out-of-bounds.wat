;; Answers with an address outside its memory.
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32) (i32.const 0xfffffff0))
