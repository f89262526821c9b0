;; /etc with a file fstab of 17 bytes, and with links that lead out of the guest. It says yes to
;; every write and forgets it, so that whoever plans an edit finds out.
(import "cofferdam:reply/reply@0.1.0" "put"
  (func $put (param i32 i32)))
(data (i32.const 3000) "etcfstabout/../../../../../../etc/hostname/dev/sda1 / ext4\0a")
;; Metadata of /etc, /etc/fstab, /etc/out.
(data (i32.const 4096) "\00\00\00\00\00\00\00\00\03\00\00\00\00\00\00\00\01\00\00\00\ed\01\00\00\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
(data (i32.const 4352) "\00\00\00\00\00\00\00\00\04\00\00\00\00\00\00\00\00\00\00\00\a4\01\00\00\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\11\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
(data (i32.const 4608) "\00\00\00\00\00\00\00\00\05\00\00\00\00\00\00\00\02\00\00\00\ff\01\00\00\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\1f\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
;; Listings of / and of /etc.
(data (i32.const 5120) "\b8\0b\00\00\03\00\00\00\01\00\00\00\00\00\00\00\03\00\00\00\00\00\00\00")
(data (i32.const 5200) "\bb\0b\00\00\05\00\00\00\00\00\00\00\00\00\00\00\04\00\00\00\00\00\00\00\c0\0b\00\00\03\00\00\00\02\00\00\00\00\00\00\00\05\00\00\00\00\00\00\00")
(data (i32.const 5376) "\00\00\00\00\00\14\00\00\01\00\00\00")
(data (i32.const 5408) "\00\00\00\00\50\14\00\00\02\00\00\00")
;; The link's target, and the error not-found.
(data (i32.const 5440) "\00\00\00\00\c3\0b\00\00\1f\00\00\00")
(data (i32.const 5472) "\01\00\00\00\00")
;; Plenty of room.
(data (i32.const 5504) "\00\00\00\00\00\00\00\00\00\10\00\00\00\00\00\00\e8\03\00\00\00\00\00\00\e8\03\00\00\00\00\00\00\e8\03\00\00\00\00\00\00\e8\03\00\00\00\00\00\00")
(func (export "cofferdam:plugin/file-tree@0.1.0#stat") (param $path i32) (param $length i32) (result i32)
  ;; A session lives for many calls: what this one was given is taken back.
  (global.set $next (i32.const 65536))
  (if (i32.eq (local.get $length) (i32.const 1)) (then (return (i32.const 2176))))
  (if (i32.eq (local.get $length) (i32.const 4)) (then (return (i32.const 4096))))
  ;; /etc/fstab, /etc/out
  (if (i32.and (i32.eq (local.get $length) (i32.const 10))
      (i32.eq (i32.load8_u (i32.add (local.get $path) (i32.const 5))) (i32.const 102)))
    (then (return (i32.const 4352))))
  (if (i32.and (i32.eq (local.get $length) (i32.const 8))
      (i32.eq (i32.load8_u (i32.add (local.get $path) (i32.const 5))) (i32.const 111)))
    (then (return (i32.const 4608))))
  (i32.const 5472))
(func (export "cofferdam:plugin/file-tree@0.1.0#list-directory")
  (param $path i32) (param $length i32) (param i32 i32 i32) (result i32)
  (if (result i32) (i32.eq (local.get $length) (i32.const 1))
    (then (i32.const 5376)) (else (i32.const 5408))))
(func (export "cofferdam:plugin/file-tree@0.1.0#read-at") (param i32 i32) (param $offset i64) (param $wanted i32) (result i32)
  (local $at i32)
  (local.set $at (i32.wrap_i64 (local.get $offset)))
  (if (i64.lt_u (local.get $offset) (i64.const 17)) (then
    (call $put (i32.add (i32.const 3042) (local.get $at))
      (if (result i32) (i32.lt_u (local.get $wanted) (i32.sub (i32.const 17) (local.get $at)))
        (then (local.get $wanted)) (else (i32.sub (i32.const 17) (local.get $at)))))))
  (global.set $next (i32.const 65536))
  (i32.const 1024))
(func (export "cofferdam:plugin/file-tree@0.1.0#read-link") (param i32 i32) (result i32) (i32.const 5440))
(func (export "cofferdam:plugin/file-tree@0.1.0#free-space") (result i32) (i32.const 5504))
