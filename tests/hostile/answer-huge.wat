;; Answers with an error whose message is 15 MiB of control characters.
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (drop (memory.grow (i32.const 300)))
  (memory.fill (i32.const 131072) (i32.const 27) (i32.const 15728640))
  (i32.store8 (i32.const 512) (i32.const 1))
  (i32.store8 (i32.const 516) (i32.const 2))
  (i32.store (i32.const 520) (i32.const 131072))
  (i32.store (i32.const 524) (i32.const 15728640))
  (i32.const 512))
