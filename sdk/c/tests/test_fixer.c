/* The SDK with a fixer that uses all of it. */
#include "fixer.h"

#include <string.h>

static cd_error *(*work)(void);

cd_error *cd_fix(void) { return work(); }

static cd_error *edit_everything(void) {
  cd_str content, target;
  bool there;
  CD_TRY(cd_exists(cd_s("/etc/new"), &there));
  if (there) return NULL;
  CD_TRY(cd_read(cd_s("/etc/motd"), 100, &content));
  CD_CHECK(cd_equal(content, cd_s("hello\n")));
  CD_TRY(cd_read_link(cd_s("/etc/link"), &target));
  CD_CHECK(cd_equal(target, cd_s("motd")));
  CD_TRY(cd_write(cd_s("/etc/link"), cd_s("bye\n"), "because"));
  CD_TRY(cd_append(cd_s("/etc/motd"), cd_s("now\n"), "because"));
  cd_attributes attributes = {.mode = 0600};
  CD_TRY(cd_make_directory(cd_s("/etc/new"), attributes, "because"));
  CD_TRY(cd_create(cd_s("/etc/new/a"), cd_s("1"), attributes, "because"));
  CD_TRY(cd_symlink(cd_s("/etc/new/b"), cd_s("a"), attributes, "because"));
  CD_TRY(cd_rename(cd_s("/etc/new/a"), cd_s("/etc/new/c"), "because"));
  CD_TRY(cd_set_mode(cd_s("/etc/new/c"), 0644, "because"));
  CD_TRY(cd_remove(cd_s("/etc/gone"), "because"));
  CD_TRY(cd_write(cd_s("/etc/motd"), cd_s("bye\nnow\n"), "the same again is no edit"));
  return cd_note(CD_NOTE_WARN, "%d edits", 8);
}

static cd_error *look_at_everything(void) {
  const cd_entry *entries;
  size_t count;
  CD_TRY(cd_list(cd_s("/etc"), &entries, &count));
  CD_CHECK(count == 3 && cd_equal(entries[0].name, cd_s("motd")));
  CD_CHECK(entries[1].kind == CD_SYMLINK);
  const cd_device *devices = cd_devices(&count);
  CD_CHECK(count == 1 && cd_equal(devices[0].uuid, cd_s("u-1")) && devices[0].label.len == 0);
  CD_CHECK(cd_equal(devices[0].old_names[0], cd_s("/dev/sda1")));
  const cd_nic *nics = cd_nics(&count);
  CD_CHECK(count == 1 && cd_equal(nics[0].model, cd_s("e1000")));
  CD_CHECK(cd_equal(cd_os().distribution, cd_s("debian")));
  CD_CHECK(cd_equal(cd_firmware(), cd_s("uefi")));
  cd_str value;
  CD_CHECK(cd_fact(cd_s("machine-id"), &value) && cd_equal(value, cd_s("abc")));
  CD_CHECK(!cd_fact(cd_s("other"), &value));
  return cd_read(cd_s("/etc/motd"), 3, &value);
}

static cd_error *be_refused(void) {
  cd_attributes attributes = {.mode = 0600};
  cd_error *error = cd_create(cd_s("/etc/motd"), cd_s(""), attributes, "because");
  CD_CHECK(error != NULL && error->code == CD_EXISTS);
  error = cd_create(cd_s("/no/where"), cd_s(""), attributes, "because");
  CD_CHECK(error != NULL && error->code == CD_NOT_FOUND);
  return cd_write(cd_s("/etc"), cd_s(""), "because");
}

static void guest(void) {
  cd_test_reset();
  cd_test_file("/etc/motd", "hello\n", 6);
  cd_test_symlink("/etc/link", "motd");
  cd_test_file("/etc/gone", "", 0);
  cd_test_device("ext4", "u-1", "/dev/sda1");
  cd_test_nic("00:50:56:00:00:01", "e1000");
  cd_test_os("linux", "debian", "12");
  cd_test_firmware("uefi");
  cd_test_fact("machine-id", "abc");
}

int main(void) {
  guest();
  work = edit_everything;
  CD_CHECK_TEXT(cd_test_fix_twice().message, "");
  static const char *const actions[] = {"write",   "append", "make-directory", "create",
                                        "symlink", "rename", "set-mode",       "remove"};
  size_t count;
  const cd_test_edit *edits = cd_test_edits(&count);
  CD_CHECK(count == sizeof actions / sizeof actions[0]);
  for (size_t i = 0; i < count; i++) CD_CHECK_TEXT(edits[i].action, actions[i]);
  CD_CHECK_TEXT(edits[5].to, "/etc/new/c");
  CD_CHECK_TEXT(cd_test_content("/etc/motd"), "bye\nnow\n");
  CD_CHECK(cd_test_content("/etc/gone") == NULL);
  CD_CHECK(cd_test_noted(CD_NOTE_WARN, "8 edits"));

  guest();
  work = look_at_everything;
  cd_test_outcome outcome = cd_test_fix();
  CD_CHECK(outcome.failed && outcome.code == CD_LIMIT);
  CD_CHECK_TEXT(outcome.message, "/etc/motd has 6 bytes, more than 3");

  guest();
  work = be_refused;
  CD_CHECK(cd_test_fix().code == CD_INVALID);
  cd_test_edits(&count);
  CD_CHECK(count == 0);
  cd_test_reset();
  return 0;
}
