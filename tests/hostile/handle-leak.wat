;; Makes handles and never drops one.
(import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration"
  (func $subscribe (param i64) (result i32)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (loop $again
    (drop (call $subscribe (i64.const 86400000000000)))
    (br $again))
  (unreachable))
