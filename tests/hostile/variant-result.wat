;; Returns a result that is neither ok nor error.
(data (i32.const 512) "\07")
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32) (i32.const 512))
