/* The guest in memory of a fixer. */
#include "fixer.h"

#include "double.h"

#include <stdlib.h>
#include <string.h>

#define MOST_READ (4u << 20)

typedef struct {
  bool there;
  uint8_t kind;
  char path[256];
  /* A file's content, a link's target; a NUL behind it. */
  char *bytes;
  size_t size;
  uint32_t mode, owner, group;
} node;

static node nodes[256];
static cd_test_edit edits[CD_TEST_MOST];
static size_t edit_count, first_count;
static bool second;

typedef struct {
  char one[128], two[128], three[128];
} texts;

static struct {
  texts devices[CD_TEST_MOST], nics[CD_TEST_MOST], facts[CD_TEST_MOST], os;
  size_t device_count, nic_count, fact_count;
  char firmware[16];
} known;

void cd_double_reset(void) {
  for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) free(nodes[i].bytes);
  memset(nodes, 0, sizeof nodes);
  memset(&known, 0, sizeof known);
  edit_count = 0;
  strcpy(known.firmware, "unknown");
}

static void set(char *to, size_t room, const char *from) {
  plugin_string_t text = {(uint8_t *)(uintptr_t)from, strlen(from)};
  cd_double_copy(to, room, &text);
}

static node *find(const char *path) {
  for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
    if (nodes[i].there && strcmp(nodes[i].path, path) == 0) return &nodes[i];
  }
  return NULL;
}

static void fill(node *to, const void *bytes, size_t length) {
  free(to->bytes);
  to->bytes = malloc(length + 1);
  CD_CHECK(to->bytes != NULL);
  if (length > 0) memcpy(to->bytes, bytes, length);
  to->bytes[length] = '\0';
  to->size = length;
}

static node *add(const char *path, uint8_t kind, const void *bytes, size_t length) {
  CD_CHECK(path[0] == '/' && find(path) == NULL);
  node *added = NULL;
  for (size_t i = 0; added == NULL && i < sizeof nodes / sizeof nodes[0]; i++) {
    if (!nodes[i].there) added = &nodes[i];
  }
  CD_CHECK(added != NULL);
  added->there = true;
  added->kind = kind;
  added->mode = kind == CD_DIRECTORY ? 0755 : 0644;
  set(added->path, sizeof added->path, path);
  fill(added, bytes, length);
  return added;
}

/* The directories above a path. */
static void add_parents(const char *path) {
  if (find("/") == NULL) add("/", CD_DIRECTORY, "", 0);
  char parent[256];
  for (size_t i = 1; path[i] != '\0'; i++) {
    if (path[i] != '/') continue;
    CD_CHECK(i < sizeof parent);
    memcpy(parent, path, i);
    parent[i] = '\0';
    if (find(parent) == NULL) add(parent, CD_DIRECTORY, "", 0);
  }
}

void cd_test_file(const char *path, const void *bytes, size_t length) {
  add_parents(path);
  add(path, CD_REGULAR, bytes, length);
}

void cd_test_symlink(const char *path, const char *target) {
  add_parents(path);
  add(path, CD_SYMLINK, target, strlen(target));
}

static void keep(texts *to, const char *one, const char *two, const char *three) {
  set(to->one, sizeof to->one, one);
  set(to->two, sizeof to->two, two);
  set(to->three, sizeof to->three, three);
}

void cd_test_device(const char *kind, const char *uuid, const char *old_name) {
  CD_CHECK(known.device_count < CD_TEST_MOST);
  keep(&known.devices[known.device_count++], kind, uuid, old_name);
}

void cd_test_nic(const char *mac, const char *model) {
  CD_CHECK(known.nic_count < CD_TEST_MOST);
  keep(&known.nics[known.nic_count++], mac, model, "");
}

void cd_test_fact(const char *key, const char *value) {
  CD_CHECK(known.fact_count < CD_TEST_MOST);
  keep(&known.facts[known.fact_count++], key, value, "");
}

void cd_test_os(const char *kind, const char *distribution, const char *version) {
  keep(&known.os, kind, distribution, version);
}

void cd_test_firmware(const char *firmware) {
  set(known.firmware, sizeof known.firmware, firmware);
}

cd_test_outcome cd_test_fix(void) {
  edit_count = 0;
  cofferdam_types_errors_error_t error;
  bool fine = exports_cofferdam_plugin_fixing_fix(&error);
  return cd_double_outcome(fine, &error);
}

cd_test_outcome cd_test_fix_twice(void) {
  cd_test_outcome outcome = cd_test_fix();
  if (outcome.failed) return outcome;
  first_count = edit_count;
  second = true;
  cofferdam_types_errors_error_t error;
  bool fine = exports_cofferdam_plugin_fixing_fix(&error);
  outcome = cd_double_outcome(fine, &error);
  second = false;
  CD_CHECK(edit_count == first_count);
  return outcome;
}

const cd_test_edit *cd_test_edits(size_t *count) {
  *count = edit_count;
  return edits;
}

const char *cd_test_content(const char *path) {
  node *found = find(path);
  return found == NULL ? NULL : found->bytes;
}

/* The path of an argument with a NUL behind it. */
static const char *own(const plugin_string_t *path, char buffer[256]) {
  cd_double_copy(buffer, 256, path);
  return buffer;
}

/* What is at a path, or the host's error; links are followed within the guest where asked. */
static node *look(const plugin_string_t *path, bool follow, cofferdam_types_errors_error_t *err) {
  char buffer[256];
  node *found = find(own(path, buffer));
  for (int links = 0; found != NULL && follow && found->kind == CD_SYMLINK && links < 8; links++) {
    char target[512];
    strcpy(target, found->path);
    size_t kept = found->bytes[0] == '/' ? 0 : (size_t)(strrchr(target, '/') - target) + 1;
    CD_CHECK(kept + found->size < sizeof target);
    strcpy(target + kept, found->bytes);
    found = find(target);
  }
  if (found == NULL) cd_double_error(err, CD_NOT_FOUND, "there is nothing at the path");
  return found;
}

bool cofferdam_guest_view_stat(plugin_string_t *path, bool follow,
                               cofferdam_guest_view_metadata_t *ret,
                               cofferdam_types_errors_error_t *err) {
  node *found = look(path, follow, err);
  if (found == NULL) return false;
  memset(ret, 0, sizeof *ret);
  ret->inode = (uint64_t)(found - nodes) + 1;
  ret->kind = found->kind;
  ret->mode = found->mode;
  ret->owner = found->owner;
  ret->group = found->group;
  ret->links = 1;
  ret->size = found->size;
  return true;
}

bool cofferdam_guest_view_list_directory(plugin_string_t *path, plugin_string_t *cursor,
                                         uint32_t limit, cofferdam_guest_view_page_t *ret,
                                         cofferdam_types_errors_error_t *err) {
  node *folder = look(path, true, err);
  if (folder == NULL) return false;
  if (folder->kind != CD_DIRECTORY) {
    cd_double_error(err, CD_INVALID, "it is no directory");
    return false;
  }
  memset(ret, 0, sizeof *ret);
  /* A page holds two names, so that a plugin which forgets the cursor is found out. */
  size_t room = limit < 2 ? limit : 2, seen = 0, skip = 0;
  for (size_t i = 0; i < cursor->len; i++) skip = skip * 10 + (size_t)(cursor->ptr[i] - '0');
  ret->entries.ptr = calloc(room, sizeof *ret->entries.ptr);
  size_t length = strcmp(folder->path, "/") == 0 ? 0 : strlen(folder->path);
  for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
    const char *name = nodes[i].path + length + 1;
    bool below = nodes[i].there && strncmp(nodes[i].path, folder->path, length) == 0 &&
                 nodes[i].path[length] == '/' && name[0] != '\0' && strchr(name, '/') == NULL;
    if (!below || seen++ < skip) continue;
    if (ret->entries.len == room) {
      char next[24];
      cd_str at = cd_fmt("%zu", skip + room);
      memcpy(next, at.ptr, at.len);
      ret->next.is_some = true;
      ret->next.val = cd_double_give(next, at.len);
      break;
    }
    cofferdam_types_files_entry_t *entry = &ret->entries.ptr[ret->entries.len++];
    entry->name = cd_double_give(name, strlen(name));
    entry->kind = nodes[i].kind;
    entry->inode = i + 1;
  }
  if (ret->entries.len == 0) {
    free(ret->entries.ptr);
    ret->entries.ptr = NULL;
  }
  return true;
}

bool cofferdam_guest_view_read_at(plugin_string_t *path, uint64_t offset, uint32_t length,
                                  plugin_list_u8_t *ret, cofferdam_types_errors_error_t *err) {
  node *found = look(path, true, err);
  if (found == NULL) return false;
  if (found->kind != CD_REGULAR || length > MOST_READ) {
    cd_double_error(err, CD_INVALID, "it is no regular file, or more than 4 MiB were asked for");
    return false;
  }
  uint64_t left = offset < found->size ? found->size - offset : 0;
  plugin_string_t given =
      cd_double_give(found->bytes + (left == 0 ? 0 : offset), (size_t)(left < length ? left : length));
  *ret = (plugin_list_u8_t){given.ptr, given.len};
  return true;
}

bool cofferdam_guest_view_read_link(plugin_string_t *path, plugin_string_t *ret,
                                    cofferdam_types_errors_error_t *err) {
  node *found = look(path, false, err);
  if (found == NULL) return false;
  if (found->kind != CD_SYMLINK) {
    cd_double_error(err, CD_INVALID, "it is no symbolic link");
    return false;
  }
  *ret = cd_double_give(found->bytes, found->size);
  return true;
}

static plugin_string_t give(const char *text) { return cd_double_give(text, strlen(text)); }

static plugin_option_string_t maybe(const char *text) {
  return (plugin_option_string_t){text[0] != '\0', text[0] != '\0' ? give(text) : (plugin_string_t){NULL, 0}};
}

void cofferdam_guest_facts_os(cofferdam_guest_facts_operating_system_t *ret) {
  *ret = (cofferdam_guest_facts_operating_system_t){
      give(known.os.one), give(known.os.two), give(known.os.three), give(known.os.two), give("x86_64")};
}

void cofferdam_guest_facts_devices(cofferdam_guest_facts_list_block_device_t *ret) {
  ret->len = known.device_count;
  ret->ptr = ret->len == 0 ? NULL : calloc(ret->len, sizeof *ret->ptr);
  for (size_t i = 0; i < ret->len; i++) {
    ret->ptr[i].index = (uint32_t)i;
    ret->ptr[i].partition.is_some = true;
    ret->ptr[i].partition.val = (uint32_t)i + 1;
    ret->ptr[i].kind = maybe(known.devices[i].one);
    ret->ptr[i].uuid = maybe(known.devices[i].two);
    ret->ptr[i].old_names.len = 1;
    ret->ptr[i].old_names.ptr = calloc(1, sizeof(plugin_string_t));
    ret->ptr[i].old_names.ptr[0] = give(known.devices[i].three);
  }
}

void cofferdam_guest_facts_nics(cofferdam_guest_facts_list_nic_t *ret) {
  ret->len = known.nic_count;
  ret->ptr = ret->len == 0 ? NULL : calloc(ret->len, sizeof *ret->ptr);
  for (size_t i = 0; i < ret->len; i++) {
    ret->ptr[i].mac = give(known.nics[i].one);
    ret->ptr[i].model = maybe(known.nics[i].two);
  }
}

void cofferdam_guest_facts_firmware(plugin_string_t *ret) { *ret = give(known.firmware); }

bool cofferdam_guest_facts_get(plugin_string_t *key, plugin_string_t *ret) {
  char buffer[256];
  own(key, buffer);
  for (size_t i = 0; i < known.fact_count; i++) {
    if (strcmp(known.facts[i].one, buffer) != 0) continue;
    *ret = give(known.facts[i].two);
    return true;
  }
  return false;
}

/* Records an edit; every one has a reason. */
static cd_test_edit *record(const char *action, const plugin_string_t *path,
                            const plugin_string_t *reason) {
  CD_CHECK(edit_count < CD_TEST_MOST);
  CD_CHECK(reason->len > 0);
  cd_test_edit *edit = &edits[edit_count++];
  memset(edit, 0, sizeof *edit);
  strcpy(edit->action, action);
  cd_double_copy(edit->path, sizeof edit->path, path);
  cd_double_copy(edit->reason, sizeof edit->reason, reason);
  return edit;
}

/* A regular file at the path, links followed, as `write` and `append` want it. */
static node *regular(const plugin_string_t *path, cofferdam_types_errors_error_t *err) {
  node *found = look(path, true, err);
  if (found == NULL || found->kind == CD_REGULAR) return found;
  cd_double_error(err, CD_INVALID, "it is no regular file");
  return NULL;
}

bool cofferdam_guest_edits_write(plugin_string_t *path, plugin_list_u8_t *content,
                                 plugin_string_t *reason, cofferdam_types_errors_error_t *err) {
  node *found = regular(path, err);
  if (found == NULL) return false;
  bool same = found->size == content->len &&
              (content->len == 0 || memcmp(found->bytes, content->ptr, content->len) == 0);
  if (same) return true;
  record("write", path, reason);
  fill(found, content->ptr, content->len);
  return true;
}

bool cofferdam_guest_edits_append(plugin_string_t *path, plugin_list_u8_t *content,
                                  plugin_string_t *reason, cofferdam_types_errors_error_t *err) {
  node *found = regular(path, err);
  if (found == NULL) return false;
  record("append", path, reason);
  char *bytes = malloc(found->size + content->len + 1);
  CD_CHECK(bytes != NULL);
  memcpy(bytes, found->bytes, found->size);
  if (content->len > 0) memcpy(bytes + found->size, content->ptr, content->len);
  fill(found, bytes, found->size + content->len);
  free(bytes);
  return true;
}

/* A new node whose parent is there, recorded; NULL with the host's error where that cannot be. */
static node *make(const char *action, uint8_t kind, const plugin_string_t *path, const void *bytes,
                  size_t length, const plugin_string_t *reason,
                  cofferdam_types_errors_error_t *err) {
  char buffer[256], parent[256];
  own(path, buffer);
  char *slash = strrchr(strcpy(parent, buffer), '/');
  CD_CHECK(slash != NULL);
  slash[slash == parent ? 1 : 0] = '\0';
  if (find(buffer) != NULL) {
    cd_double_error(err, CD_EXISTS, "there is something at the path");
    return NULL;
  }
  if (find(parent) == NULL) {
    cd_double_error(err, CD_NOT_FOUND, "the parent is not there");
    return NULL;
  }
  record(action, path, reason);
  return add(buffer, kind, bytes, length);
}

static bool given(node *made, const cofferdam_guest_edits_attributes_t *attributes) {
  if (made == NULL) return false;
  made->mode = attributes->mode;
  made->owner = attributes->owner;
  made->group = attributes->group;
  return true;
}

bool cofferdam_guest_edits_create(plugin_string_t *path, plugin_list_u8_t *content,
                                  cofferdam_guest_edits_attributes_t *attributes,
                                  plugin_string_t *reason, cofferdam_types_errors_error_t *err) {
  return given(make("create", CD_REGULAR, path, content->ptr, content->len, reason, err), attributes);
}

bool cofferdam_guest_edits_make_directory(plugin_string_t *path,
                                          cofferdam_guest_edits_attributes_t *attributes,
                                          plugin_string_t *reason,
                                          cofferdam_types_errors_error_t *err) {
  return given(make("make-directory", CD_DIRECTORY, path, "", 0, reason, err), attributes);
}

bool cofferdam_guest_edits_symlink(plugin_string_t *path, plugin_string_t *target,
                                   cofferdam_guest_edits_attributes_t *attributes,
                                   plugin_string_t *reason, cofferdam_types_errors_error_t *err) {
  node *made = make("symlink", CD_SYMLINK, path, target->ptr, target->len, reason, err);
  if (made != NULL) cd_double_copy(edits[edit_count - 1].to, sizeof edits[0].to, target);
  return given(made, attributes);
}

bool cofferdam_guest_edits_rename(plugin_string_t *from, plugin_string_t *to,
                                  plugin_string_t *reason, cofferdam_types_errors_error_t *err) {
  node *found = look(from, false, err);
  if (found == NULL) return false;
  cd_test_edit *edit = record("rename", from, reason);
  cd_double_copy(edit->to, sizeof edit->to, to);
  node *replaced = find(edit->to);
  if (replaced != NULL) replaced->there = false;
  set(found->path, sizeof found->path, edit->to);
  return true;
}

bool cofferdam_guest_edits_remove(plugin_string_t *path, plugin_string_t *reason,
                                  cofferdam_types_errors_error_t *err) {
  node *found = look(path, false, err);
  if (found == NULL) return false;
  record("remove", path, reason);
  found->there = false;
  return true;
}

bool cofferdam_guest_edits_set_mode(plugin_string_t *path, uint32_t mode, plugin_string_t *reason,
                                    cofferdam_types_errors_error_t *err) {
  node *found = look(path, true, err);
  if (found == NULL) return false;
  record("set-mode", path, reason);
  found->mode = mode;
  return true;
}

bool cofferdam_guest_edits_note(cofferdam_types_errors_severity_t severity,
                                plugin_string_t *message, cofferdam_types_errors_error_t *err) {
  (void)err;
  if (!second) cd_double_note(severity, message);
  return true;
}
