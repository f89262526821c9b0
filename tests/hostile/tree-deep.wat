;; Every directory holds another one, a new inode each, without end.
(global $inode (mut i64) (i64.const 2))
(data (i32.const 600) "d")
;; One entry: the name d, a directory.
(data (i32.const 640) "\58\02\00\00\01\00\00\00\01\00\00\00\00\00\00\00\09\00\00\00\00\00\00\00")
(data (i32.const 512) "\00\00\00\00\80\02\00\00\01\00\00\00")
(func (export "cofferdam:plugin/file-tree@0.1.0#stat") (param i32 i32) (result i32)
  ;; Paths grow long, and the allocator never frees.
  (global.set $next (i32.const 65536))
  (global.set $inode (i64.add (global.get $inode) (i64.const 1)))
  (i64.store (i32.const 2184) (if (result i64) (i32.eq (local.get 1) (i32.const 1))
    (then (i64.const 2)) (else (global.get $inode))))
  (i32.const 2176))
(func (export "cofferdam:plugin/file-tree@0.1.0#list-directory")
  (param i32 i32 i32 i32 i32) (result i32) (i32.const 512))
