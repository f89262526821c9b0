/* What the hosts in memory of all kinds of plugins share. */
#ifndef COFFERDAM_TESTING_H
#define COFFERDAM_TESTING_H

#include "cofferdam.h"

/* How a call ended: texts are empty where there are none. */
typedef struct {
  bool failed;
  cd_code code;
  char message[1024];
  char hint[512];
  uint32_t retry_after_ms;
} cd_test_outcome;

/* A note for the person who approves. */
typedef struct {
  cd_severity severity;
  char message[1024];
} cd_test_note;

/* Forgets files, records, notes, log and settings. */
void cd_test_reset(void);
/* The settings that the plugin sees: a JSON object, defaults filled in. `{}` after a reset. */
void cd_test_settings(const char *json);
/* Whether the run is cancelled. */
void cd_test_cancel(bool cancelled);
/* The notes since the last reset. */
const cd_test_note *cd_test_notes(size_t *count);
/* Whether a note of this severity contains the text. */
bool cd_test_noted(cd_severity severity, const char *text);
/* The log since the last reset, a line a message. */
const char *cd_test_log(void);

/* Ends the process with the place where the condition does not hold. */
#define CD_CHECK(condition)                                                         \
  do {                                                                              \
    if (!(condition)) cd_test_fail(__FILE__, __LINE__, #condition);                 \
  } while (0)
/* Ends the process where the texts differ, with both. */
#define CD_CHECK_TEXT(actual, expected) cd_test_texts(__FILE__, __LINE__, (actual), (expected))
_Noreturn void cd_test_fail(const char *file, int line, const char *what);
void cd_test_texts(const char *file, int line, const char *actual, const char *expected);

#endif
