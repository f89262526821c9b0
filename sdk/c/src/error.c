/* Errors: made here, received from the host, and handed over to it. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

cd_error *cd_fail(cd_code code, const char *format, ...) {
  cd_error *error = cd_alloc(sizeof *error);
  error->code = code;
  va_list arguments;
  va_start(arguments, format);
  error->message = cd_vfmt(format, arguments);
  va_end(arguments);
  return error;
}

cd_error *cd_hint(cd_error *error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  error->hint = cd_vfmt(format, arguments);
  va_end(arguments);
  return error;
}

cd_error *cd_received(const cofferdam_types_errors_error_t *received) {
  cd_error *error = cd_alloc(sizeof *error);
  error->code = (cd_code)received->code;
  error->message = cd_adopt(received->message);
  if (received->hint.is_some) error->hint = cd_adopt(received->hint.val);
  if (received->retry_after.is_some) error->retry_after_ms = received->retry_after.val;
  return error;
}

/* A copy that the bindings free after the host has read it. */
static plugin_string_t copy(cd_str text) {
  cd_str valid = cd_lossy(text);
  plugin_string_t out = {NULL, valid.len};
  if (valid.len == 0) return out;
  out.ptr = malloc(valid.len);
  if (out.ptr == NULL) abort();
  memcpy(out.ptr, valid.ptr, valid.len);
  return out;
}

void cd_hand_over(const cd_error *error, cofferdam_types_errors_error_t *out) {
  memset(out, 0, sizeof *out);
  out->code = (cofferdam_types_errors_error_code_t)error->code;
  out->message = copy(error->message);
  if (error->hint.len > 0) {
    out->hint.is_some = true;
    out->hint.val = copy(error->hint);
  }
  if (error->retry_after_ms > 0) {
    out->retry_after.is_some = true;
    out->retry_after.val = error->retry_after_ms;
  }
}
