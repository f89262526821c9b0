;; A step whose output is no JSON object.
(data (i32.const 600) "DROP TABLE runs")
(func (export "cofferdam:plugin/step@0.1.0#execute") (param i32 i32) (result i32)
  (i32.store (i32.const 516) (i32.const 600))
  (i32.store (i32.const 520) (i32.const 15))
  (i32.const 512))
