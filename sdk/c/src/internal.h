/* Between the SDK's own files: nothing for authors. */
#ifndef COFFERDAM_INTERNAL_H
#define COFFERDAM_INTERNAL_H

#include "cofferdam.h"
#include "plugin.h"

#include <stdarg.h>

/* Frees at the end of the call what the host's answer brought, and gives it back. */
cd_str cd_adopt(plugin_string_t text);
void cd_adopt_pointer(void *pointer);
/* Frees everything of this call. */
void cd_end_call(void);
/* How many pieces of memory the call holds. */
size_t cd_held(void);

/* printf into memory until the end of the call. */
cd_str cd_vfmt(const char *format, va_list arguments);
/* The same text where it is UTF-8, else one with U+FFFD in the place of what is not. */
cd_str cd_lossy(cd_str text);
/* As an argument of the host's functions, which do not keep it. */
plugin_string_t cd_lend(cd_str text);
/* A name as an argument, refused where it is not UTF-8. */
cd_error *cd_lend_name(cd_str name, plugin_string_t *lent);

/* The host's error as this SDK's. */
cd_error *cd_received(const cofferdam_types_errors_error_t *error);
/* This SDK's error as the export's, in memory that the bindings free. */
void cd_hand_over(const cd_error *error, cofferdam_types_errors_error_t *out);

#endif
