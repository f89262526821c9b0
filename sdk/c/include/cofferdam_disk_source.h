/*
 * A disk source: finds a machine's disks in a folder. It implements `cd_discover`; the other
 * functions are the host's. See `cofferdam.h` for memory and errors.
 */
#ifndef COFFERDAM_DISK_SOURCE_H
#define COFFERDAM_DISK_SOURCE_H

#include "cofferdam.h"

/*
 * Written by the author. Looks at the file `name` of the source folder and, where it is this
 * plugin's kind of thing, records the machine and sets `*recognised`. An error means that it is
 * its kind, and broken.
 */
cd_error *cd_discover(cd_str name, bool *recognised);

/* A file of the source folder. */
typedef struct {
  cd_str name;
  uint64_t size;
} cd_file;

/* The regular files of the folder, by name, not those in folders below. */
cd_error *cd_list(const cd_file **files, size_t *count);
/* One file by its name, relative to the folder. */
cd_error *cd_stat(cd_str name, cd_file *file);
/* Up to `length` bytes, at most 4 MiB; fewer at the end of the file, none beyond. */
cd_error *cd_read_at(cd_str name, uint64_t offset, uint32_t length, cd_str *bytes);

/* The next disk of the machine: a file of the folder, in the format `raw`, `qcow2` or `vmdk`. */
cd_error *cd_add_disk(cd_str name, const char *format);
cd_error *cd_set_name(cd_str name);
/* `bios` or `uefi`. */
cd_error *cd_set_firmware(const char *firmware);
cd_error *cd_set_memory(uint32_t mebibytes);
/* A MAC as `aa:bb:cc:dd:ee:ff`; `model` is empty where the source says none. */
cd_error *cd_add_nic(cd_str mac, cd_str model);
/* Something the person who approves should know. */
cd_error *cd_note(cd_severity severity, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
