;; Makes remarks for the person who approves, a MiB each, without end.
(import "cofferdam:guest/edits@0.1.0" "note"
  (func $note (param i32 i32 i32 i32)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (drop (memory.grow (i32.const 32)))
  (memory.fill (i32.const 131072) (i32.const 65) (i32.const 1048576))
  (loop $again
    (i32.store (i32.const 131072) (i32.add (i32.load (i32.const 131072)) (i32.const 1)))
    (i32.store (i32.const 131072) (i32.and (i32.load (i32.const 131072)) (i32.const 0x7f7f7f7f)))
    (call $note (i32.const 0) (i32.const 131072) (i32.const 1048576) (i32.const 64))
    (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))
    (br $again))
  (unreachable))
