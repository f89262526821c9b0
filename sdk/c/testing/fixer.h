/*
 * A guest in memory for the unit tests of a fixer: files that are given here, and the edits that the
 * plugin plans, which later readings show as the host's guest shows them.
 */
#ifndef COFFERDAM_TESTING_FIXER_H
#define COFFERDAM_TESTING_FIXER_H

#include "cofferdam_fixer.h"
#include "testing.h"

#define CD_TEST_MOST 64

/* An edit: what was done (`write`, `create`, `append`, `remove`, …), where, and why. */
typedef struct {
  char action[24];
  char path[256];
  /* The other path of a rename, or where a new link leads. */
  char to[256];
  char reason[256];
} cd_test_edit;

/* A regular file of root's, mode 0644; directories above it are there. The bytes are copied. */
void cd_test_file(const char *path, const void *bytes, size_t length);
void cd_test_symlink(const char *path, const char *target);
/* A device with the names that it had on the source; `uuid` and `kind` may be empty. */
void cd_test_device(const char *kind, const char *uuid, const char *old_name);
void cd_test_nic(const char *mac, const char *model);
void cd_test_os(const char *kind, const char *distribution, const char *version);
/* `bios`, `uefi` or `unknown`; `unknown` after a reset. */
void cd_test_firmware(const char *firmware);
void cd_test_fact(const char *key, const char *value);

/*
 * Calls the plugin as the host does, through the export. Fails the process where memory of the
 * call is left.
 */
cd_test_outcome cd_test_fix(void);
/*
 * The same, and where it succeeded once more: fails the process where the second time plans an edit,
 * because the host refuses such a plan.
 */
cd_test_outcome cd_test_fix_twice(void);
/* The edits of the last call, or of the first of two. */
const cd_test_edit *cd_test_edits(size_t *count);
/* The content of a file as it now is, with a NUL behind it; NULL where there is none. */
const char *cd_test_content(const char *path);

#endif
