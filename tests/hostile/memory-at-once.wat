;; Is born with more memory than it may have.
(memory (export "memory") 16000)
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32) (i32.const 1024))
