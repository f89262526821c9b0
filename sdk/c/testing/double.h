/* Between the files of the hosts in memory: nothing for tests. */
#ifndef COFFERDAM_DOUBLE_H
#define COFFERDAM_DOUBLE_H

#include "internal.h"
#include "testing.h"

/* Forgets what the host of this world holds; each has its own. */
void cd_double_reset(void);
/* Keeps a note. */
void cd_double_note(uint8_t severity, const plugin_string_t *message);
/* The host's error, in memory that the plugin's side frees. */
void cd_double_error(cofferdam_types_errors_error_t *error, cd_code code, const char *message);
/* A copy in memory that the plugin's side frees. */
plugin_string_t cd_double_give(const void *bytes, size_t length);
/* Copies a text into a buffer, which must hold it with a NUL. */
void cd_double_copy(char *to, size_t room, const plugin_string_t *from);
/* Frees an export's answer, and says how the call ended. */
cd_test_outcome cd_double_outcome(bool fine, cofferdam_types_errors_error_t *error);

#endif
