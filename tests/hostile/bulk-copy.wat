;; Copies 30 MiB over 30 MiB again and again.
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (drop (memory.grow (i32.const 958)))
  (loop $again
    (memory.copy (i32.const 0) (i32.const 31457280) (i32.const 31457280))
    (br $again))
  (unreachable))
