/*
 * Cofferdam plugins in C: what every kind of plugin shares.
 *
 * Problem. The functions that wit-bindgen makes of the contract leave it to their caller to free
 * what they return, field by field, and to hand out only UTF-8: one slip is a leak or a trap.
 *
 * Design. What these functions return lives until the plugin's export returns, and is freed then;
 * `cd_alloc` gives authors memory of the same kind. So a plugin calls no `free`, and cannot leak.
 * A function that can fail returns NULL where it did not, and otherwise an error, which the
 * plugin returns as it is (`CD_TRY`), looks at, or replaces. Texts that go to people are made
 * valid UTF-8 on their way out; names that are not UTF-8 are refused.
 *
 * Limits. One call at a time, as the contract has it; no threads. What was returned must not be
 * kept for the next call. A write through a wild pointer damages the plugin's own memory and
 * nothing else, and may end in a trap, which ends the call and is reported as the plugin's fault.
 */
#ifndef COFFERDAM_H
#define COFFERDAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes with a length: text where it says so. There is no NUL at the end to rely on. */
typedef struct {
  const char *ptr;
  size_t len;
} cd_str;

/* A string literal, or any text that ends with NUL and outlives its use, as a cd_str. */
cd_str cd_s(const char *text);
/* For printf: `"%.*s", CD_ARG(s)`. */
#define CD_ARG(s) (int)(s).len, (s).ptr

bool cd_equal(cd_str one, cd_str other);
/* The same but for the case of A to Z. */
bool cd_equal_nocase(cd_str one, cd_str other);
bool cd_starts(cd_str text, cd_str prefix);
bool cd_ends_nocase(cd_str text, cd_str suffix);
/* Without spaces, tabs and carriage returns at both ends. */
cd_str cd_trim(cd_str text);
/* The next line of `*rest` without its end, and `*rest` behind it; false where none is left. */
bool cd_line(cd_str *rest, cd_str *line);
/* A decimal number without sign, and nothing else; false also where it exceeds `most`. */
bool cd_number(cd_str text, uint64_t most, uint64_t *number);
/* Whether the bytes are UTF-8 without surrogates. */
bool cd_is_utf8(cd_str text);

/*
 * Memory until the end of the call, zeroed. Never NULL: a plugin that exceeds its memory limit
 * is ended by the host, with an error that names the limit.
 */
void *cd_alloc(size_t size);
/* `count` items of `size` bytes; the product may not overflow. */
void *cd_alloc_many(size_t count, size_t size);
/* A copy with a NUL at its end. */
char *cd_cstr(cd_str text);
/* printf into memory until the end of the call. */
cd_str cd_fmt(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What kind of failure it is; see the contract's `error-code`. */
typedef enum {
  CD_NOT_FOUND = 0,
  CD_DENIED = 1,
  CD_INVALID = 2,
  CD_CONFLICT = 3,
  CD_UNAVAILABLE = 4,
  CD_TIMEOUT = 5,
  CD_CANCELLED = 6,
  CD_LIMIT = 7,
  CD_UNSUPPORTED = 8,
  CD_NO_SPACE = 9,
  CD_CORRUPT = 10,
  CD_EXISTS = 11,
  CD_LOCKED = 12,
  CD_OTHER = 13,
} cd_code;

/* One failure. */
typedef struct {
  cd_code code;
  /* What happened and why, in one sentence. */
  cd_str message;
  /* What the user can do; empty for nothing. */
  cd_str hint;
  /* When trying again makes sense, in milliseconds from now; 0 for nothing said. */
  uint32_t retry_after_ms;
} cd_error;

/* A failure to return: `return cd_fail(CD_CORRUPT, "line %u: no `=`", line);` */
cd_error *cd_fail(cd_code code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same failure with a hint. */
cd_error *cd_hint(cd_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Returns from the function where the call failed. */
#define CD_TRY(call)                      \
  do {                                    \
    cd_error *cd_tried_ = (call);         \
    if (cd_tried_ != NULL) return cd_tried_; \
  } while (0)

/* How much a note matters to the person who approves a plan. */
typedef enum { CD_NOTE_INFO = 0, CD_NOTE_WARN = 1, CD_NOTE_BLOCK = 2 } cd_severity;

/* How loud a log line is. */
typedef enum { CD_LOG_DEBUG = 0, CD_LOG_INFO = 1, CD_LOG_WARN = 2, CD_LOG_ERROR = 3 } cd_level;

/* One line in the run's log. */
void cd_log(cd_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The run that this call belongs to. */
cd_str cd_run_id(void);
/* Whether the run was cancelled: a long loop asks now and then and returns CD_CANCELLED. */
bool cd_cancelled(void);
/* Milliseconds until the host stops this call; false where it is not limited. */
bool cd_deadline(uint32_t *milliseconds);
/* The time in seconds since 1970-01-01; for the kinds of a migration it is the plan's. */
int64_t cd_now(void);
/* How far the call is: `done` of `total` (0 for unknown) `unit`s, such as "bytes". */
void cd_progress(uint64_t done, uint64_t total, const char *unit);

/* The settings as the JSON object that satisfies plugin.toml, defaults filled in. */
cd_str cd_settings(void);
/*
 * One setting, by the name of a key of that object. CD_INVALID where it is absent or of another
 * type; a number has to be whole and not negative.
 */
cd_error *cd_setting_text(const char *key, cd_str *value);
cd_error *cd_setting_bool(const char *key, bool *value);
cd_error *cd_setting_number(const char *key, uint64_t *value);

#endif
