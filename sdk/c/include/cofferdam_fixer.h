/*
 * A fixer: looks at a guest and plans the edits that make it run on its target. It implements
 * `cd_fix`; the other functions are the host's. See `cofferdam.h` for memory and errors.
 *
 * Paths are absolute and POSIX. Names are text: a byte that is part of no UTF-8 is written as a
 * backslash, `x` and two hexadecimal digits, a backslash twice.
 */
#ifndef COFFERDAM_FIXER_H
#define COFFERDAM_FIXER_H

#include "cofferdam.h"

/*
 * Written by the author. Looks at the guest and plans edits. On a guest that has them already it
 * plans none: the host runs it a second time and refuses the plan otherwise.
 */
cd_error *cd_fix(void);

/* What an inode is. */
typedef enum {
  CD_REGULAR = 0,
  CD_DIRECTORY = 1,
  CD_SYMLINK = 2,
  CD_BLOCK_DEVICE = 3,
  CD_CHARACTER_DEVICE = 4,
  CD_FIFO = 5,
  CD_SOCKET = 6,
} cd_kind;

/* The metadata that a fixer needs of an inode. */
typedef struct {
  cd_kind kind;
  /* Permission bits, 0 to 07777. */
  uint32_t mode;
  uint32_t owner;
  uint32_t group;
  uint64_t size;
} cd_metadata;

/* One name in a directory. */
typedef struct {
  cd_str name;
  cd_kind kind;
} cd_entry;

/* What a new inode gets; the label is that of SELinux, empty for none. */
typedef struct {
  uint32_t mode;
  uint32_t owner;
  uint32_t group;
  cd_str label;
} cd_attributes;

/* A link at the end is followed. CD_NOT_FOUND where there is nothing. */
cd_error *cd_stat(cd_str path, cd_metadata *metadata);
/* Whether there is anything at the path; other failures are errors. */
cd_error *cd_exists(cd_str path, bool *exists);
/* The whole of a regular file; CD_LIMIT where it is longer than `most` bytes. */
cd_error *cd_read(cd_str path, size_t most, cd_str *content);
/* All names of a directory, in an order that does not change while it does not. */
cd_error *cd_list(cd_str path, const cd_entry **entries, size_t *count);
/* Where a symbolic link leads. */
cd_error *cd_read_link(cd_str path, cd_str *target);

/* A disk or partition of the guest; texts are empty where they are not known. */
typedef struct {
  uint32_t index;
  uint32_t disk;
  bool is_partition;
  uint32_t partition;
  cd_str kind;
  cd_str uuid;
  cd_str label;
  cd_str partition_uuid;
  const cd_str *old_names;
  size_t old_name_count;
} cd_device;

/* The operating system. */
typedef struct {
  cd_str kind;
  cd_str distribution;
  cd_str version;
  cd_str name;
  cd_str architecture;
} cd_system;

/* A network card of the source; the model is empty where the source says none. */
typedef struct {
  cd_str mac;
  cd_str model;
} cd_nic;

cd_system cd_os(void);
const cd_device *cd_devices(size_t *count);
const cd_nic *cd_nics(size_t *count);
/* `bios`, `uefi`, or `unknown`. */
cd_str cd_firmware(void);
/* A fact that an inspector recorded; false where there is none. */
bool cd_fact(cd_str key, cd_str *value);

/*
 * Edits. Nothing is written: the host shows them, rehearses them and applies them. Each has a
 * reason, one sentence for the person who approves.
 */

/* Replaces the content of a regular file; mode, owner and extended attributes stay. */
cd_error *cd_write(cd_str path, cd_str content, const char *reason);
cd_error *cd_create(cd_str path, cd_str content, cd_attributes attributes, const char *reason);
cd_error *cd_append(cd_str path, cd_str content, const char *reason);
cd_error *cd_make_directory(cd_str path, cd_attributes attributes, const char *reason);
cd_error *cd_rename(cd_str from, cd_str to, const char *reason);
cd_error *cd_remove(cd_str path, const char *reason);
cd_error *cd_symlink(cd_str path, cd_str target, cd_attributes attributes, const char *reason);
cd_error *cd_set_mode(cd_str path, uint32_t mode, const char *reason);
/* Something the person who approves should know; CD_NOTE_BLOCK stops the plan. */
cd_error *cd_note(cd_severity severity, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
