;; Grows a table until it gets no more, and dies of it.
(table $t 1 funcref)
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (block $refused
    (loop $more
      (br_if $refused (i32.eq (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))
      (br $more)))
  (unreachable))
