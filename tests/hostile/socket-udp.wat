;; Makes UDP sockets without end.
(import "wasi:sockets/udp-create-socket@0.2.6" "create-udp-socket"
  (func $udp (param i32 i32)))
(func (export "cofferdam:plugin/step@0.1.0#execute") (param i32 i32) (result i32)
  (loop $again
    (call $udp (i32.const 0) (i32.const 64))
    (br $again))
  (unreachable))
