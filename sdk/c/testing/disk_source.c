/* The host in memory of a disk source. */
#include "disk_source.h"

#include "double.h"

#include <stdlib.h>
#include <string.h>

#define MOST_READ (4u << 20)

typedef struct {
  char name[256];
  uint64_t size;
  /* NULL for a file of zeros. */
  void *bytes;
} file;

static file files[CD_TEST_MOST];
static size_t file_count;
static cd_test_machine machine;

void cd_double_reset(void) {
  for (size_t i = 0; i < file_count; i++) free(files[i].bytes);
  file_count = 0;
  memset(&machine, 0, sizeof machine);
}

static file *add(const char *name) {
  CD_CHECK(file_count < CD_TEST_MOST);
  CD_CHECK(strlen(name) < sizeof files[0].name);
  for (size_t i = 0; i < file_count; i++) CD_CHECK(strcmp(files[i].name, name) != 0);
  file *added = &files[file_count++];
  memset(added, 0, sizeof *added);
  memcpy(added->name, name, strlen(name));
  return added;
}

void cd_test_file(const char *name, const void *bytes, size_t length) {
  file *added = add(name);
  added->size = length;
  added->bytes = malloc(length == 0 ? 1 : length);
  CD_CHECK(added->bytes != NULL);
  if (length > 0) memcpy(added->bytes, bytes, length);
}

void cd_test_zeros(const char *name, uint64_t length) { add(name)->size = length; }

const cd_test_machine *cd_test_found(void) { return &machine; }

cd_test_outcome cd_test_discover(const char *name, bool *recognised) {
  plugin_string_t given = cd_double_give(name, strlen(name));
  cofferdam_types_errors_error_t error;
  bool fine = exports_cofferdam_plugin_discovery_discover(&given, recognised, &error);
  return cd_double_outcome(fine, &error);
}

bool cofferdam_disk_source_folder_list(cofferdam_disk_source_folder_list_file_t *ret,
                                       cofferdam_types_errors_error_t *err) {
  (void)err;
  ret->ptr = file_count == 0 ? NULL : malloc(file_count * sizeof *ret->ptr);
  ret->len = file_count;
  for (size_t i = 0; i < file_count; i++) {
    ret->ptr[i].name = cd_double_give(files[i].name, strlen(files[i].name));
    ret->ptr[i].size = files[i].size;
  }
  return true;
}

/* The file of this name, or the error that the host has for it. */
static file *find(const plugin_string_t *name, cofferdam_types_errors_error_t *err) {
  cd_str wanted = {(const char *)name->ptr, name->len};
  CD_CHECK(cd_is_utf8(wanted));
  if (cd_starts(wanted, cd_s("/")) || cd_starts(wanted, cd_s("../"))) {
    cd_double_error(err, CD_DENIED, "it leads out of the folder");
    return NULL;
  }
  for (size_t i = 0; i < file_count; i++) {
    if (cd_equal(cd_s(files[i].name), wanted)) return &files[i];
  }
  cd_double_error(err, CD_NOT_FOUND, "there is no such file in the folder");
  return NULL;
}

bool cofferdam_disk_source_folder_stat(plugin_string_t *name,
                                       cofferdam_disk_source_folder_file_t *ret,
                                       cofferdam_types_errors_error_t *err) {
  file *found = find(name, err);
  if (found == NULL) return false;
  ret->name = cd_double_give(found->name, strlen(found->name));
  ret->size = found->size;
  return true;
}

bool cofferdam_disk_source_folder_read_at(plugin_string_t *name, uint64_t offset, uint32_t length,
                                          plugin_list_u8_t *ret,
                                          cofferdam_types_errors_error_t *err) {
  file *found = find(name, err);
  if (found == NULL) return false;
  if (length > MOST_READ) {
    cd_double_error(err, CD_LIMIT, "one call reads at most 4 MiB");
    return false;
  }
  uint64_t left = offset < found->size ? found->size - offset : 0;
  ret->len = (size_t)(left < length ? left : length);
  ret->ptr = ret->len == 0 ? NULL : calloc(1, ret->len);
  if (ret->len > 0 && found->bytes != NULL) {
    memcpy(ret->ptr, (char *)found->bytes + offset, ret->len);
  }
  return true;
}

bool cofferdam_disk_machine_add_disk(plugin_string_t *name, plugin_string_t *format,
                                     cofferdam_types_errors_error_t *err) {
  (void)err;
  CD_CHECK(machine.disks < CD_TEST_MOST);
  cd_double_copy(machine.disk_names[machine.disks], sizeof machine.disk_names[0], name);
  cd_double_copy(machine.disk_formats[machine.disks], sizeof machine.disk_formats[0], format);
  machine.disks++;
  return true;
}

bool cofferdam_disk_machine_set_name(plugin_string_t *name, cofferdam_types_errors_error_t *err) {
  (void)err;
  cd_double_copy(machine.name, sizeof machine.name, name);
  return true;
}

bool cofferdam_disk_machine_set_firmware(plugin_string_t *firmware,
                                         cofferdam_types_errors_error_t *err) {
  cd_double_copy(machine.firmware, sizeof machine.firmware, firmware);
  if (strcmp(machine.firmware, "bios") == 0 || strcmp(machine.firmware, "uefi") == 0) return true;
  cd_double_error(err, CD_INVALID, "the firmware is neither bios nor uefi");
  return false;
}

bool cofferdam_disk_machine_set_memory(uint32_t mebibytes, cofferdam_types_errors_error_t *err) {
  (void)err;
  machine.memory = mebibytes;
  return true;
}

bool cofferdam_disk_machine_add_nic(plugin_string_t *mac, plugin_string_t *maybe_model,
                                    cofferdam_types_errors_error_t *err) {
  (void)err;
  CD_CHECK(machine.nics < CD_TEST_MOST);
  cd_double_copy(machine.nic_macs[machine.nics], sizeof machine.nic_macs[0], mac);
  if (maybe_model != NULL) {
    cd_double_copy(machine.nic_models[machine.nics], sizeof machine.nic_models[0], maybe_model);
  }
  machine.nics++;
  return true;
}

bool cofferdam_disk_machine_note(cofferdam_types_errors_severity_t severity,
                                 plugin_string_t *message, cofferdam_types_errors_error_t *err) {
  (void)err;
  cd_double_note(severity, message);
  return true;
}
