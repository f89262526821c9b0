;; A step that never returns.
(func (export "cofferdam:plugin/step@0.1.0#execute") (param i32 i32) (result i32)
  (loop $again (br $again))
  (unreachable))
