/* Memory that lives until the export returns. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
  void **items;
  size_t count;
  size_t room;
} held;

void cd_adopt_pointer(void *pointer) {
  if (pointer == NULL) return;
  if (held.count == held.room) {
    size_t room = held.room == 0 ? 64 : held.room * 2;
    void **items = realloc(held.items, room * sizeof *items);
    if (items == NULL) abort();
    held.items = items;
    held.room = room;
  }
  held.items[held.count++] = pointer;
}

cd_str cd_adopt(plugin_string_t text) {
  /* The canonical ABI allocates nothing for an empty text, and its pointer is any number. */
  if (text.len == 0) return (cd_str){"", 0};
  cd_adopt_pointer(text.ptr);
  return (cd_str){(const char *)text.ptr, text.len};
}

void cd_end_call(void) {
  for (size_t i = 0; i < held.count; i++) free(held.items[i]);
  free(held.items);
  held.items = NULL;
  held.count = 0;
  held.room = 0;
}

size_t cd_held(void) { return held.count; }

void *cd_alloc(size_t size) {
  void *memory = calloc(1, size == 0 ? 1 : size);
  if (memory == NULL) abort();
  cd_adopt_pointer(memory);
  return memory;
}

void *cd_alloc_many(size_t count, size_t size) {
  if (size != 0 && count > SIZE_MAX / size) abort();
  return cd_alloc(count * size);
}

char *cd_cstr(cd_str text) {
  char *copy = cd_alloc(text.len + 1);
  if (text.len > 0) memcpy(copy, text.ptr, text.len);
  return copy;
}

cd_str cd_vfmt(const char *format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  int length = vsnprintf(NULL, 0, format, again);
  va_end(again);
  if (length < 0) return cd_s("(a message that could not be formatted)");
  char *text = cd_alloc((size_t)length + 1);
  vsnprintf(text, (size_t)length + 1, format, arguments);
  return (cd_str){text, (size_t)length};
}

cd_str cd_fmt(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  cd_str text = cd_vfmt(format, arguments);
  va_end(arguments);
  return text;
}
