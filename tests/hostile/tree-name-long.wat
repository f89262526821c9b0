;; A directory that lists a name of a MiB.
(data (i32.const 640) "\00\00\02\00\00\00\10\00\00\00\00\00\00\00\00\00\09\00\00\00\00\00\00\00")
(data (i32.const 512) "\00\00\00\00\80\02\00\00\01\00\00\00")
(func (export "cofferdam:plugin/file-tree@0.1.0#list-directory")
  (param i32 i32 i32 i32 i32) (result i32)
  (drop (memory.grow (i32.const 32)))
  (memory.fill (i32.const 131072) (i32.const 65) (i32.const 1048576))
  (i32.const 512))
