;; A directory whose pages go round in a circle.
(data (i32.const 600) "abnext")
;; One entry: its name, a regular file, inode 9.
(data (i32.const 640) "\58\02\00\00\01\00\00\00\00\00\00\00\00\00\00\00\09\00\00\00\00\00\00\00")
(data (i32.const 512) "\00\00\00\00\80\02\00\00\01\00\00\00\01\00\00\00\5a\02\00\00\04\00\00\00")
(func (export "cofferdam:plugin/file-tree@0.1.0#list-directory")
  (param i32 i32 i32 i32 i32) (result i32) (i32.const 512))
