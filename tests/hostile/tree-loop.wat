;; A directory that holds itself.
(data (i32.const 600) "self")
(data (i32.const 640) "\58\02\00\00\04\00\00\00\01\00\00\00\00\00\00\00\02\00\00\00\00\00\00\00")
(data (i32.const 512) "\00\00\00\00\80\02\00\00\01\00\00\00")
(func (export "cofferdam:plugin/file-tree@0.1.0#list-directory")
  (param i32 i32 i32 i32 i32) (result i32) (i32.const 512))
