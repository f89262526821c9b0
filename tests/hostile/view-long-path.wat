;; Reads a path of a MiB.
(import "cofferdam:guest/view@0.1.0" "read-link"
  (func $read-link (param i32 i32 i32)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (drop (memory.grow (i32.const 32)))
  (memory.fill (i32.const 131072) (i32.const 65) (i32.const 1048576))
  (i32.store8 (i32.const 131072) (i32.const 47))
  (call $read-link (i32.const 131072) (i32.const 1048576) (i32.const 64))
  (i32.const 64))
