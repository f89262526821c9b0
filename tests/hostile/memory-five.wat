;; Asks for a fifth memory, more than an instance may have.
(memory (export "memory") 2)
(memory 1)
(memory 1)
(memory 1)
(memory 1)
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32) (i32.const 1024))
