/*
 * One key of the settings. The host has checked the text against the schema, so that it is a JSON
 * object; what is read here is its own keys, and what their values hold is skipped.
 * Source: RFC 8259.
 */
#include "internal.h"

#include <string.h>

static void blanks(cd_str *at) {
  while (at->len > 0 && strchr(" \t\r\n", at->ptr[0]) != NULL && at->ptr[0] != '\0') {
    at->ptr++;
    at->len--;
  }
}

static bool take(cd_str *at, char letter) {
  blanks(at);
  if (at->len == 0 || at->ptr[0] != letter) return false;
  at->ptr++;
  at->len--;
  return true;
}

/* A text between quotes as it stands there, escapes and all. */
static bool quoted(cd_str *at, cd_str *raw) {
  if (!take(at, '"')) return false;
  raw->ptr = at->ptr;
  while (at->len > 0 && at->ptr[0] != '"') {
    size_t step = at->ptr[0] == '\\' ? 2 : 1;
    if (at->len < step) return false;
    at->ptr += step;
    at->len -= step;
  }
  raw->len = (size_t)(at->ptr - raw->ptr);
  return take(at, '"');
}

/* Any value as it stands there. Nesting is counted, not followed: depth costs no stack. */
static bool value(cd_str *at, cd_str *raw) {
  blanks(at);
  raw->ptr = at->ptr;
  size_t depth = 0;
  while (at->len > 0) {
    char letter = at->ptr[0];
    if (letter == '"') {
      cd_str inside;
      if (!quoted(at, &inside)) return false;
      continue;
    }
    if (depth == 0 && (letter == ',' || letter == '}' || letter == ']')) break;
    if (letter == '{' || letter == '[') depth++;
    if (letter == '}' || letter == ']') depth--;
    at->ptr++;
    at->len--;
  }
  raw->len = (size_t)(at->ptr - raw->ptr);
  while (raw->len > 0 && strchr(" \t\r\n", raw->ptr[raw->len - 1]) != NULL) raw->len--;
  return raw->len > 0;
}

static int hexadecimal(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

/* The UTF-16 unit of `\uXXXX`, whose digits `text` begins with. */
static bool unit(cd_str text, uint32_t *number) {
  if (text.len < 4) return false;
  *number = 0;
  for (size_t i = 0; i < 4; i++) {
    int digit = hexadecimal(text.ptr[i]);
    if (digit < 0) return false;
    *number = *number * 16 + (uint32_t)digit;
  }
  return true;
}

static size_t encode(uint32_t point, char *out) {
  if (point < 0x80) {
    out[0] = (char)point;
    return 1;
  }
  if (point < 0x800) {
    out[0] = (char)(0xc0 | (point >> 6));
    out[1] = (char)(0x80 | (point & 0x3f));
    return 2;
  }
  if (point < 0x10000) {
    out[0] = (char)(0xe0 | (point >> 12));
    out[1] = (char)(0x80 | ((point >> 6) & 0x3f));
    out[2] = (char)(0x80 | (point & 0x3f));
    return 3;
  }
  out[0] = (char)(0xf0 | (point >> 18));
  out[1] = (char)(0x80 | ((point >> 12) & 0x3f));
  out[2] = (char)(0x80 | ((point >> 6) & 0x3f));
  out[3] = (char)(0x80 | (point & 0x3f));
  return 4;
}

/* What a quoted text means. Never longer than it stands there. */
static bool unescape(cd_str raw, cd_str *text) {
  char *out = cd_alloc(raw.len);
  size_t written = 0;
  for (size_t i = 0; i < raw.len; i++) {
    if (raw.ptr[i] != '\\') {
      out[written++] = raw.ptr[i];
      continue;
    }
    if (++i == raw.len) return false;
    const char *found = strchr("\"\\/bfnrt", raw.ptr[i]);
    if (found != NULL && *found != '\0') {
      out[written++] = "\"\\/\b\f\n\r\t"[found - "\"\\/bfnrt"];
      continue;
    }
    uint32_t high, low;
    if (raw.ptr[i] != 'u' || !unit((cd_str){raw.ptr + i + 1, raw.len - i - 1}, &high)) return false;
    i += 4;
    bool pair = high >= 0xd800 && high <= 0xdbff && raw.len - i > 6 && raw.ptr[i + 1] == '\\' &&
                raw.ptr[i + 2] == 'u' && unit((cd_str){raw.ptr + i + 3, raw.len - i - 3}, &low) &&
                low >= 0xdc00 && low <= 0xdfff;
    if (pair) {
      high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
      i += 6;
    } else if (high >= 0xd800 && high <= 0xdfff) {
      high = 0xfffd;
    }
    written += encode(high, out + written);
  }
  *text = (cd_str){out, written};
  return true;
}

static cd_error *find(const char *key, cd_str *raw) {
  cd_str at = cd_settings();
  if (take(&at, '{')) {
    cd_str name, found;
    while (quoted(&at, &name) && take(&at, ':') && value(&at, &found)) {
      cd_str meant;
      if (unescape(name, &meant) && cd_equal(meant, cd_s(key))) {
        *raw = found;
        return NULL;
      }
      if (!take(&at, ',')) break;
    }
  }
  return cd_hint(cd_fail(CD_INVALID, "there is no setting `%s`", key),
                 "give it a default in the schema of plugin.toml");
}

cd_error *cd_setting_text(const char *key, cd_str *text) {
  cd_str raw, inside;
  CD_TRY(find(key, &raw));
  cd_str at = raw;
  if (quoted(&at, &inside) && at.len == 0 && unescape(inside, text)) return NULL;
  return cd_fail(CD_INVALID, "the setting `%s` is %.*s, not a text", key, CD_ARG(raw));
}

cd_error *cd_setting_bool(const char *key, bool *truth) {
  cd_str raw;
  CD_TRY(find(key, &raw));
  *truth = cd_equal(raw, cd_s("true"));
  if (*truth || cd_equal(raw, cd_s("false"))) return NULL;
  return cd_fail(CD_INVALID, "the setting `%s` is %.*s, not true or false", key, CD_ARG(raw));
}

cd_error *cd_setting_number(const char *key, uint64_t *number) {
  cd_str raw;
  CD_TRY(find(key, &raw));
  if (cd_number(raw, UINT64_MAX, number)) return NULL;
  return cd_fail(CD_INVALID, "the setting `%s` is %.*s, not a whole number", key, CD_ARG(raw));
}
