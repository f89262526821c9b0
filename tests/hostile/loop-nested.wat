;; A file system that hangs when a fixer reads through it: the fixer must not pay for it.
(func (export "cofferdam:plugin/file-tree@0.1.0#list-directory")
  (param i32 i32 i32 i32 i32) (result i32)
  (loop $again (br $again))
  (unreachable))
