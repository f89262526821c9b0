/* The fixer {{name}}: adds a line to the guest's message of the day. */
#include "cofferdam_fixer.h"

#define FILE_PATH "/etc/motd"
/* The most bytes that are read of it; a longer file is an error. */
#define MOST (64u << 10)

cd_error *cd_fix(void) {
  bool there;
  cd_str wanted, text, rest, line;
  CD_TRY(cd_setting_text("line", &wanted));
  /* A guest without the file is none of this plugin's business, and no error. */
  CD_TRY(cd_exists(cd_s(FILE_PATH), &there));
  if (!there) return NULL;
  CD_TRY(cd_read(cd_s(FILE_PATH), MOST, &text));
  /* The host runs every fixer again on the result, where it must record nothing. */
  rest = text;
  while (cd_line(&rest, &line)) {
    if (cd_equal(line, wanted)) return NULL;
  }
  bool ended = text.len == 0 || text.ptr[text.len - 1] == '\n';
  cd_str added =
      cd_fmt("%.*s%s%.*s\n", CD_ARG(text), ended ? "" : "\n", CD_ARG(wanted));
  return cd_write(cd_s(FILE_PATH), added, "whoever logs in learns that the machine has moved");
}
