;; Takes memory until it gets no more, writes to every page, and dies of it.
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (local $at i32)
  (block $refused
    (loop $more
      (local.set $at (memory.grow (i32.const 16)))
      (br_if $refused (i32.eq (local.get $at) (i32.const -1)))
      (memory.fill (i32.mul (local.get $at) (i32.const 65536)) (i32.const 7) (i32.const 1048576))
      (br $more)))
  (unreachable))
