/* The world fixer. */
#include "cofferdam_fixer.h"

#include "internal.h"

#include <string.h>

/* Bytes of one reading, and names of one listing. */
#define MOST_READ (1u << 20)
#define MOST_NAMES 1000u

static cd_str optional(plugin_option_string_t text) {
  return text.is_some ? cd_adopt(text.val) : (cd_str){"", 0};
}

/* Bytes as an argument: any, not only UTF-8. */
static plugin_list_u8_t bytes(cd_str content) {
  return (plugin_list_u8_t){(uint8_t *)(uintptr_t)content.ptr, content.len};
}

cd_error *cd_stat(cd_str path, cd_metadata *metadata) {
  plugin_string_t lent;
  CD_TRY(cd_lend_name(path, &lent));
  cofferdam_guest_view_metadata_t found;
  cofferdam_types_errors_error_t error;
  if (!cofferdam_guest_view_stat(&lent, true, &found, &error)) return cd_received(&error);
  *metadata = (cd_metadata){(cd_kind)found.kind, found.mode, found.owner, found.group, found.size};
  return NULL;
}

cd_error *cd_exists(cd_str path, bool *exists) {
  cd_metadata metadata;
  cd_error *error = cd_stat(path, &metadata);
  *exists = error == NULL;
  return error != NULL && error->code == CD_NOT_FOUND ? NULL : error;
}

cd_error *cd_read(cd_str path, size_t most, cd_str *content) {
  cd_metadata metadata;
  CD_TRY(cd_stat(path, &metadata));
  if (metadata.size > most) {
    return cd_fail(CD_LIMIT, "%.*s has %llu bytes, more than %zu", CD_ARG(path),
                   (unsigned long long)metadata.size, most);
  }
  size_t size = (size_t)metadata.size, length = 0;
  char *out = cd_alloc(size);
  plugin_string_t lent = cd_lend(path);
  while (length < size) {
    uint32_t wanted = size - length < MOST_READ ? (uint32_t)(size - length) : MOST_READ;
    plugin_list_u8_t part = {NULL, 0};
    cofferdam_types_errors_error_t error;
    if (!cofferdam_guest_view_read_at(&lent, length, wanted, &part, &error)) {
      return cd_received(&error);
    }
    cd_str read = cd_adopt((plugin_string_t){part.ptr, part.len});
    if (read.len == 0 || read.len > wanted) break;
    memcpy(out + length, read.ptr, read.len);
    length += read.len;
  }
  *content = (cd_str){out, length};
  return NULL;
}

cd_error *cd_list(cd_str path, const cd_entry **entries, size_t *count) {
  plugin_string_t lent, cursor = {NULL, 0};
  CD_TRY(cd_lend_name(path, &lent));
  cd_entry *all = cd_alloc(0);
  size_t length = 0, room = 0;
  for (;;) {
    cofferdam_guest_view_page_t page;
    cofferdam_types_errors_error_t error;
    if (!cofferdam_guest_view_list_directory(&lent, &cursor, MOST_NAMES, &page, &error)) {
      return cd_received(&error);
    }
    if (length + page.entries.len > room) {
      room = (length + page.entries.len) * 2;
      cd_entry *more = cd_alloc_many(room, sizeof *more);
      if (length > 0) memcpy(more, all, length * sizeof *all);
      all = more;
    }
    for (size_t i = 0; i < page.entries.len; i++) {
      cofferdam_types_files_entry_t *entry = &page.entries.ptr[i];
      all[length++] = (cd_entry){cd_adopt(entry->name), (cd_kind)entry->kind};
    }
    if (page.entries.len > 0) cd_adopt_pointer(page.entries.ptr);
    if (!page.next.is_some) break;
    cursor = cd_lend(cd_adopt(page.next.val));
  }
  *entries = all;
  *count = length;
  return NULL;
}

cd_error *cd_read_link(cd_str path, cd_str *target) {
  plugin_string_t lent, found = {NULL, 0};
  CD_TRY(cd_lend_name(path, &lent));
  cofferdam_types_errors_error_t error;
  if (!cofferdam_guest_view_read_link(&lent, &found, &error)) return cd_received(&error);
  *target = cd_adopt(found);
  return NULL;
}

cd_system cd_os(void) {
  cofferdam_guest_facts_operating_system_t os;
  cofferdam_guest_facts_os(&os);
  return (cd_system){cd_adopt(os.kind), cd_adopt(os.distribution), cd_adopt(os.version),
                     cd_adopt(os.name), cd_adopt(os.architecture)};
}

const cd_device *cd_devices(size_t *count) {
  cofferdam_guest_facts_list_block_device_t list = {NULL, 0};
  cofferdam_guest_facts_devices(&list);
  cd_device *out = cd_alloc_many(list.len, sizeof *out);
  for (size_t i = 0; i < list.len; i++) {
    cofferdam_guest_facts_block_device_t *given = &list.ptr[i];
    cd_str *names = cd_alloc_many(given->old_names.len, sizeof *names);
    for (size_t name = 0; name < given->old_names.len; name++) {
      names[name] = cd_adopt(given->old_names.ptr[name]);
    }
    if (given->old_names.len > 0) cd_adopt_pointer(given->old_names.ptr);
    if (given->partition_label.is_some) cd_adopt(given->partition_label.val);
    out[i] = (cd_device){
        .index = given->index,
        .disk = given->disk,
        .is_partition = given->partition.is_some,
        .partition = given->partition.is_some ? given->partition.val : 0,
        .kind = optional(given->kind),
        .uuid = optional(given->uuid),
        .label = optional(given->label),
        .partition_uuid = optional(given->partition_uuid),
        .old_names = names,
        .old_name_count = given->old_names.len,
    };
  }
  if (list.len > 0) cd_adopt_pointer(list.ptr);
  *count = list.len;
  return out;
}

const cd_nic *cd_nics(size_t *count) {
  cofferdam_guest_facts_list_nic_t list = {NULL, 0};
  cofferdam_guest_facts_nics(&list);
  cd_nic *out = cd_alloc_many(list.len, sizeof *out);
  for (size_t i = 0; i < list.len; i++) {
    out[i] = (cd_nic){cd_adopt(list.ptr[i].mac), optional(list.ptr[i].model)};
  }
  if (list.len > 0) cd_adopt_pointer(list.ptr);
  *count = list.len;
  return out;
}

cd_str cd_firmware(void) {
  plugin_string_t firmware = {NULL, 0};
  cofferdam_guest_facts_firmware(&firmware);
  return cd_adopt(firmware);
}

bool cd_fact(cd_str key, cd_str *value) {
  plugin_string_t lent = cd_lend(key), found = {NULL, 0};
  if (!cofferdam_guest_facts_get(&lent, &found)) return false;
  *value = cd_adopt(found);
  return true;
}

/* The attributes as the bindings have them. */
static cofferdam_guest_edits_attributes_t lend(cd_attributes attributes) {
  return (cofferdam_guest_edits_attributes_t){
      attributes.mode, attributes.owner, attributes.group,
      {attributes.label.len > 0, cd_lend(attributes.label)}};
}

/* What every edit begins with: its path and its reason. */
#define EDIT(path_, reason_)                            \
  plugin_string_t path_lent, why = cd_lend(cd_s(reason_)); \
  cofferdam_types_errors_error_t error;                 \
  CD_TRY(cd_lend_name(path_, &path_lent))

cd_error *cd_write(cd_str path, cd_str content, const char *reason) {
  EDIT(path, reason);
  plugin_list_u8_t list = bytes(content);
  return cofferdam_guest_edits_write(&path_lent, &list, &why, &error) ? NULL : cd_received(&error);
}

cd_error *cd_create(cd_str path, cd_str content, cd_attributes attributes, const char *reason) {
  EDIT(path, reason);
  plugin_list_u8_t list = bytes(content);
  cofferdam_guest_edits_attributes_t lent = lend(attributes);
  bool fine = cofferdam_guest_edits_create(&path_lent, &list, &lent, &why, &error);
  return fine ? NULL : cd_received(&error);
}

cd_error *cd_append(cd_str path, cd_str content, const char *reason) {
  EDIT(path, reason);
  plugin_list_u8_t list = bytes(content);
  return cofferdam_guest_edits_append(&path_lent, &list, &why, &error) ? NULL : cd_received(&error);
}

cd_error *cd_make_directory(cd_str path, cd_attributes attributes, const char *reason) {
  EDIT(path, reason);
  cofferdam_guest_edits_attributes_t lent = lend(attributes);
  bool fine = cofferdam_guest_edits_make_directory(&path_lent, &lent, &why, &error);
  return fine ? NULL : cd_received(&error);
}

cd_error *cd_rename(cd_str from, cd_str to, const char *reason) {
  EDIT(from, reason);
  plugin_string_t target;
  CD_TRY(cd_lend_name(to, &target));
  bool fine = cofferdam_guest_edits_rename(&path_lent, &target, &why, &error);
  return fine ? NULL : cd_received(&error);
}

cd_error *cd_remove(cd_str path, const char *reason) {
  EDIT(path, reason);
  return cofferdam_guest_edits_remove(&path_lent, &why, &error) ? NULL : cd_received(&error);
}

cd_error *cd_symlink(cd_str path, cd_str target, cd_attributes attributes, const char *reason) {
  EDIT(path, reason);
  plugin_string_t to;
  CD_TRY(cd_lend_name(target, &to));
  cofferdam_guest_edits_attributes_t lent = lend(attributes);
  bool fine = cofferdam_guest_edits_symlink(&path_lent, &to, &lent, &why, &error);
  return fine ? NULL : cd_received(&error);
}

cd_error *cd_set_mode(cd_str path, uint32_t mode, const char *reason) {
  EDIT(path, reason);
  return cofferdam_guest_edits_set_mode(&path_lent, mode, &why, &error) ? NULL
                                                                        : cd_received(&error);
}

cd_error *cd_note(cd_severity severity, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  plugin_string_t message = cd_lend(cd_vfmt(format, arguments));
  va_end(arguments);
  cofferdam_types_errors_error_t error;
  bool noted = cofferdam_guest_edits_note((cofferdam_types_errors_severity_t)severity, &message,
                                          &error);
  return noted ? NULL : cd_received(&error);
}

bool exports_cofferdam_plugin_fixing_fix(exports_cofferdam_plugin_fixing_error_t *err) {
  cd_error *error = cd_fix();
  if (error != NULL) cd_hand_over(error, err);
  cd_end_call();
  return error == NULL;
}
