;; Spreads what it takes over four memories.
(memory (export "memory") 2)
(memory $b 1)
(memory $c 1)
(memory $d 1)
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (block $refused
    (loop $more
      (br_if $refused (i32.eq (memory.grow $b (i32.const 16)) (i32.const -1)))
      (br_if $refused (i32.eq (memory.grow $c (i32.const 16)) (i32.const -1)))
      (br_if $refused (i32.eq (memory.grow $d (i32.const 16)) (i32.const -1)))
      (br $more)))
  (unreachable))
