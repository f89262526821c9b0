;; Imports an interface that would let it speak HTTP.
(import "wasi:http/outgoing-handler@0.2.6" "handle" (func $handle (param i32 i32 i32 i32)))
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32) (i32.const 1024))
