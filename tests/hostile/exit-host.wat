;; Ends the program, as far as WASI can.
(import "wasi:cli/exit@0.2.6" "exit" (func $exit (param i32)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (call $exit (i32.const 0))
  (unreachable))
