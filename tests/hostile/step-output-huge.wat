;; A step whose output is 8 MiB of JSON.
(func (export "cofferdam:plugin/step@0.1.0#execute") (param i32 i32) (result i32)
  (drop (memory.grow (i32.const 300)))
  (memory.fill (i32.const 131072) (i32.const 32) (i32.const 8388608))
  (i32.store8 (i32.const 131072) (i32.const 123))
  (i32.store8 (i32.const 8519679) (i32.const 125))
  (i32.store (i32.const 516) (i32.const 131072))
  (i32.store (i32.const 520) (i32.const 8388608))
  (i32.const 512))
