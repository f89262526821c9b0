;; Has a thousand remarks of 8 KiB to make when it is mounted.
(func (export "cofferdam:plugin/file-tree@0.1.0#mount") (param i32) (result i32)
  (local $i i32)
  (memory.fill (i32.const 32768) (i32.const 65) (i32.const 8192))
  (loop $more
    (i32.store (i32.add (i32.const 0x4000) (i32.mul (local.get $i) (i32.const 8))) (i32.const 32768))
    (i32.store (i32.add (i32.const 0x4004) (i32.mul (local.get $i) (i32.const 8))) (i32.add (i32.const 1) (local.get $i)))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $more (i32.lt_u (local.get $i) (i32.const 1000))))
  (i32.store (i32.const 520) (i32.const 0x4000))
  (i32.store (i32.const 524) (i32.const 1000))
  (i32.const 512))
