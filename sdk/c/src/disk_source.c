/* The world disk-source. */
#include "cofferdam_disk_source.h"

#include "internal.h"

cd_error *cd_list(const cd_file **files, size_t *count) {
  cofferdam_disk_source_folder_list_file_t list = {NULL, 0};
  cofferdam_types_errors_error_t error;
  if (!cofferdam_disk_source_folder_list(&list, &error)) return cd_received(&error);
  cd_file *out = cd_alloc_many(list.len, sizeof *out);
  for (size_t i = 0; i < list.len; i++) {
    out[i] = (cd_file){cd_adopt(list.ptr[i].name), list.ptr[i].size};
  }
  if (list.len > 0) cd_adopt_pointer(list.ptr);
  *files = out;
  *count = list.len;
  return NULL;
}

cd_error *cd_stat(cd_str name, cd_file *file) {
  plugin_string_t lent;
  CD_TRY(cd_lend_name(name, &lent));
  cofferdam_disk_source_folder_file_t found;
  cofferdam_types_errors_error_t error;
  if (!cofferdam_disk_source_folder_stat(&lent, &found, &error)) return cd_received(&error);
  *file = (cd_file){cd_adopt(found.name), found.size};
  return NULL;
}

cd_error *cd_read_at(cd_str name, uint64_t offset, uint32_t length, cd_str *bytes) {
  plugin_string_t lent;
  CD_TRY(cd_lend_name(name, &lent));
  plugin_list_u8_t read = {NULL, 0};
  cofferdam_types_errors_error_t error;
  if (!cofferdam_disk_source_folder_read_at(&lent, offset, length, &read, &error)) {
    return cd_received(&error);
  }
  *bytes = cd_adopt((plugin_string_t){read.ptr, read.len});
  return NULL;
}

cd_error *cd_add_disk(cd_str name, const char *format) {
  plugin_string_t lent, kind = cd_lend(cd_s(format));
  CD_TRY(cd_lend_name(name, &lent));
  cofferdam_types_errors_error_t error;
  return cofferdam_disk_machine_add_disk(&lent, &kind, &error) ? NULL : cd_received(&error);
}

cd_error *cd_set_name(cd_str name) {
  plugin_string_t lent = cd_lend(name);
  cofferdam_types_errors_error_t error;
  return cofferdam_disk_machine_set_name(&lent, &error) ? NULL : cd_received(&error);
}

cd_error *cd_set_firmware(const char *firmware) {
  plugin_string_t lent = cd_lend(cd_s(firmware));
  cofferdam_types_errors_error_t error;
  return cofferdam_disk_machine_set_firmware(&lent, &error) ? NULL : cd_received(&error);
}

cd_error *cd_set_memory(uint32_t mebibytes) {
  cofferdam_types_errors_error_t error;
  return cofferdam_disk_machine_set_memory(mebibytes, &error) ? NULL : cd_received(&error);
}

cd_error *cd_add_nic(cd_str mac, cd_str model) {
  plugin_string_t address = cd_lend(mac), kind = cd_lend(model);
  cofferdam_types_errors_error_t error;
  bool added = cofferdam_disk_machine_add_nic(&address, model.len > 0 ? &kind : NULL, &error);
  return added ? NULL : cd_received(&error);
}

cd_error *cd_note(cd_severity severity, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  plugin_string_t message = cd_lend(cd_vfmt(format, arguments));
  va_end(arguments);
  cofferdam_types_errors_error_t error;
  bool noted = cofferdam_disk_machine_note((cofferdam_types_errors_severity_t)severity, &message,
                                           &error);
  return noted ? NULL : cd_received(&error);
}

bool exports_cofferdam_plugin_discovery_discover(plugin_string_t *name, bool *ret,
                                                 exports_cofferdam_plugin_discovery_error_t *err) {
  *ret = false;
  cd_error *error = cd_discover(cd_adopt(*name), ret);
  if (error != NULL) cd_hand_over(error, err);
  cd_end_call();
  return error == NULL;
}
