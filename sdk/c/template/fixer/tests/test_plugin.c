/* The fixer over guests in memory. */
#include "fixer.h"

#include <stdio.h>

static void guest(void) {
  cd_test_reset();
  cd_test_settings("{\"line\": \"moved\"}");
}

int main(void) {
  size_t count;

  guest();
  cd_test_file("/etc/motd", "Welcome", 7);
  CD_CHECK_TEXT(cd_test_fix_twice().message, "");
  CD_CHECK_TEXT(cd_test_content("/etc/motd"), "Welcome\nmoved\n");

  guest();
  cd_test_file("/etc/hostname", "web\n", 4);
  CD_CHECK_TEXT(cd_test_fix_twice().message, "");
  cd_test_edits(&count);
  CD_CHECK(count == 0);

  guest();
  cd_test_settings("{}");
  CD_CHECK(cd_test_fix().code == CD_INVALID);

  cd_test_reset();
  puts("{{name}}: all tests passed");
  return 0;
}
