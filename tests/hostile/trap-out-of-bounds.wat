;; Reads beyond its memory: a signal in the host.
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (i32.load (i32.const 0x7ffffff0)))
