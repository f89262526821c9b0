;; Fills 60 MiB again and again. One such instruction cannot be interrupted.
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (drop (memory.grow (i32.const 958)))
  (loop $again
    (memory.fill (i32.const 0) (i32.const 1) (i32.const 62914560))
    (br $again))
  (unreachable))
