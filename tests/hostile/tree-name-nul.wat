;; A directory that lists a name with a NUL in it.
(data (i32.const 600) "a\00b")
(data (i32.const 640) "\58\02\00\00\03\00\00\00\00\00\00\00\00\00\00\00\09\00\00\00\00\00\00\00")
(data (i32.const 512) "\00\00\00\00\80\02\00\00\01\00\00\00")
(func (export "cofferdam:plugin/file-tree@0.1.0#list-directory")
  (param i32 i32 i32 i32 i32) (result i32) (i32.const 512))
