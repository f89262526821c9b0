/* The parts of the host in memory that every world has. */
#include "testing.h"

#include "double.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
  const char *settings;
  bool cancelled;
  cd_test_note notes[256];
  size_t note_count;
  char log[64 << 10];
  size_t log_length;
} host = {.settings = "{}"};

void cd_test_reset(void) {
  host.settings = "{}";
  host.cancelled = false;
  host.note_count = 0;
  host.log_length = 0;
  host.log[0] = '\0';
  cd_double_reset();
}

void cd_test_settings(const char *json) { host.settings = json; }
void cd_test_cancel(bool cancelled) { host.cancelled = cancelled; }
const char *cd_test_log(void) { return host.log; }

const cd_test_note *cd_test_notes(size_t *count) {
  *count = host.note_count;
  return host.notes;
}

bool cd_test_noted(cd_severity severity, const char *text) {
  for (size_t i = 0; i < host.note_count; i++) {
    if (host.notes[i].severity == severity && strstr(host.notes[i].message, text) != NULL) {
      return true;
    }
  }
  return false;
}

_Noreturn void cd_test_fail(const char *file, int line, const char *what) {
  fprintf(stderr, "%s:%d: %s does not hold\n", file, line, what);
  exit(1);
}

void cd_test_texts(const char *file, int line, const char *actual, const char *expected) {
  if (strcmp(actual, expected) == 0) return;
  fprintf(stderr, "%s:%d: it is    `%s`\nand should be `%s`\n", file, line, actual, expected);
  exit(1);
}

void cd_double_copy(char *to, size_t room, const plugin_string_t *from) {
  CD_CHECK(from->len < room);
  CD_CHECK(cd_is_utf8((cd_str){(const char *)from->ptr, from->len}));
  if (from->len > 0) memcpy(to, from->ptr, from->len);
  to[from->len] = '\0';
}

plugin_string_t cd_double_give(const void *bytes, size_t length) {
  plugin_string_t given = {NULL, length};
  if (length == 0) return given;
  given.ptr = malloc(length);
  CD_CHECK(given.ptr != NULL);
  memcpy(given.ptr, bytes, length);
  return given;
}

void cd_double_error(cofferdam_types_errors_error_t *error, cd_code code, const char *message) {
  memset(error, 0, sizeof *error);
  error->code = (cofferdam_types_errors_error_code_t)code;
  error->message = cd_double_give(message, strlen(message));
}

void cd_double_note(uint8_t severity, const plugin_string_t *message) {
  CD_CHECK(host.note_count < sizeof host.notes / sizeof host.notes[0]);
  cd_test_note *note = &host.notes[host.note_count++];
  note->severity = (cd_severity)severity;
  cd_double_copy(note->message, sizeof note->message, message);
}

cd_test_outcome cd_double_outcome(bool fine, cofferdam_types_errors_error_t *error) {
  cd_test_outcome outcome;
  memset(&outcome, 0, sizeof outcome);
  CD_CHECK(cd_held() == 0);
  if (fine) return outcome;
  outcome.failed = true;
  outcome.code = (cd_code)error->code;
  cd_double_copy(outcome.message, sizeof outcome.message, &error->message);
  free(error->message.ptr);
  if (error->hint.is_some) {
    cd_double_copy(outcome.hint, sizeof outcome.hint, &error->hint.val);
    free(error->hint.val.ptr);
  }
  if (error->retry_after.is_some) outcome.retry_after_ms = error->retry_after.val;
  return outcome;
}

void cofferdam_runtime_context_run_id(plugin_string_t *ret) { *ret = cd_double_give("run", 3); }

bool cofferdam_runtime_context_deadline(uint32_t *ret) {
  (void)ret;
  return false;
}

bool cofferdam_runtime_context_cancelled(void) { return host.cancelled; }

void cofferdam_runtime_context_now(cofferdam_runtime_context_timestamp_t *ret) {
  /* 2026-01-01T00:00:00Z */
  ret->seconds = 1767225600;
  ret->nanoseconds = 0;
}

void cofferdam_runtime_context_progress(uint64_t done, uint64_t total, plugin_string_t *unit) {
  (void)done;
  (void)total;
  (void)unit;
}

void cofferdam_runtime_context_log(cofferdam_runtime_context_level_t level,
                                   plugin_string_t *message,
                                   plugin_list_tuple2_string_string_t *fields) {
  (void)level;
  (void)fields;
  CD_CHECK(host.log_length + message->len + 2 < sizeof host.log);
  cd_double_copy(host.log + host.log_length, sizeof host.log - host.log_length, message);
  host.log_length += message->len;
  host.log[host.log_length++] = '\n';
  host.log[host.log_length] = '\0';
}

void cofferdam_runtime_config_settings(plugin_string_t *ret) {
  *ret = cd_double_give(host.settings, strlen(host.settings));
}
