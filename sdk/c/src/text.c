/* Texts: comparing, cutting, and what is UTF-8. */
#include "internal.h"

#include <string.h>

cd_str cd_s(const char *text) { return (cd_str){text, strlen(text)}; }

bool cd_equal(cd_str one, cd_str other) {
  return one.len == other.len && (one.len == 0 || memcmp(one.ptr, other.ptr, one.len) == 0);
}

static char lower(char letter) {
  return letter >= 'A' && letter <= 'Z' ? (char)(letter + ('a' - 'A')) : letter;
}

bool cd_equal_nocase(cd_str one, cd_str other) {
  if (one.len != other.len) return false;
  for (size_t i = 0; i < one.len; i++) {
    if (lower(one.ptr[i]) != lower(other.ptr[i])) return false;
  }
  return true;
}

bool cd_starts(cd_str text, cd_str prefix) {
  return text.len >= prefix.len && cd_equal((cd_str){text.ptr, prefix.len}, prefix);
}

bool cd_ends_nocase(cd_str text, cd_str suffix) {
  if (text.len < suffix.len) return false;
  return cd_equal_nocase((cd_str){text.ptr + (text.len - suffix.len), suffix.len}, suffix);
}

static bool is_blank(char letter) { return letter == ' ' || letter == '\t' || letter == '\r'; }

cd_str cd_trim(cd_str text) {
  while (text.len > 0 && is_blank(text.ptr[0])) {
    text.ptr++;
    text.len--;
  }
  while (text.len > 0 && is_blank(text.ptr[text.len - 1])) text.len--;
  return text;
}

bool cd_line(cd_str *rest, cd_str *line) {
  if (rest->len == 0) return false;
  const char *end = memchr(rest->ptr, '\n', rest->len);
  size_t length = end == NULL ? rest->len : (size_t)(end - rest->ptr);
  *line = (cd_str){rest->ptr, length};
  size_t taken = end == NULL ? length : length + 1;
  *rest = (cd_str){rest->ptr + taken, rest->len - taken};
  return true;
}

bool cd_number(cd_str text, uint64_t most, uint64_t *number) {
  if (text.len == 0) return false;
  uint64_t value = 0;
  for (size_t i = 0; i < text.len; i++) {
    if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
    uint64_t digit = (uint64_t)(text.ptr[i] - '0');
    if (value > (UINT64_MAX - digit) / 10) return false;
    value = value * 10 + digit;
  }
  if (value > most) return false;
  *number = value;
  return true;
}

/*
 * Bytes of the UTF-8 sequence that the text begins with; 0 where it begins with none.
 * Source: Unicode 15, table 3-7 (well-formed UTF-8 byte sequences).
 */
static size_t sequence(cd_str text) {
  const unsigned char *byte = (const unsigned char *)text.ptr;
  unsigned char least = 0x80, most = 0xbf;
  size_t length;
  if (byte[0] < 0x80) return 1;
  if (byte[0] >= 0xc2 && byte[0] <= 0xdf) {
    length = 2;
  } else if (byte[0] >= 0xe0 && byte[0] <= 0xef) {
    length = 3;
    if (byte[0] == 0xe0) least = 0xa0;
    if (byte[0] == 0xed) most = 0x9f;
  } else if (byte[0] >= 0xf0 && byte[0] <= 0xf4) {
    length = 4;
    if (byte[0] == 0xf0) least = 0x90;
    if (byte[0] == 0xf4) most = 0x8f;
  } else {
    return 0;
  }
  if (text.len < length || byte[1] < least || byte[1] > most) return 0;
  for (size_t i = 2; i < length; i++) {
    if (byte[i] < 0x80 || byte[i] > 0xbf) return 0;
  }
  return length;
}

static cd_str behind(cd_str text, size_t length) {
  return (cd_str){text.ptr + length, text.len - length};
}

bool cd_is_utf8(cd_str text) {
  while (text.len > 0) {
    size_t length = sequence(text);
    if (length == 0) return false;
    text = behind(text, length);
  }
  return true;
}

cd_str cd_lossy(cd_str text) {
  if (cd_is_utf8(text)) return text;
  char *out = cd_alloc_many(text.len, 3);
  size_t written = 0;
  while (text.len > 0) {
    size_t length = sequence(text);
    memcpy(out + written, length == 0 ? "\xef\xbf\xbd" : text.ptr, length == 0 ? 3 : length);
    written += length == 0 ? 3 : length;
    text = behind(text, length == 0 ? 1 : length);
  }
  return (cd_str){out, written};
}

plugin_string_t cd_lend(cd_str text) {
  cd_str valid = cd_lossy(text);
  /* The bindings take what they only read without `const`. */
  return (plugin_string_t){(uint8_t *)(uintptr_t)valid.ptr, valid.len};
}

cd_error *cd_lend_name(cd_str name, plugin_string_t *lent) {
  if (!cd_is_utf8(name)) {
    cd_str shown = cd_lossy(name);
    return cd_fail(CD_INVALID, "the name `%.*s` is not UTF-8", CD_ARG(shown));
  }
  *lent = cd_lend(name);
  return NULL;
}
