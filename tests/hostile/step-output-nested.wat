;; A step whose output is JSON nested a quarter of a million times.
(func (export "cofferdam:plugin/step@0.1.0#execute") (param i32 i32) (result i32)
  (drop (memory.grow (i32.const 32)))
  (memory.fill (i32.const 131072) (i32.const 91) (i32.const 500000))
  (i32.store8 (i32.const 131072) (i32.const 123))
  (i32.store (i32.const 516) (i32.const 131072))
  (i32.store (i32.const 520) (i32.const 500000))
  (i32.const 512))
