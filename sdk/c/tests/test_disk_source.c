/* The SDK with a disk source that does what a test says. */
#include "disk_source.h"

#include <string.h>

static cd_error *(*work)(cd_str name, bool *recognised);

cd_error *cd_discover(cd_str name, bool *recognised) { return work(name, recognised); }

static cd_test_outcome call(cd_error *(*function)(cd_str, bool *)) {
  work = function;
  bool recognised;
  return cd_test_discover("a", &recognised);
}

static cd_error *fail_in_full(cd_str name, bool *recognised) {
  (void)recognised;
  cd_error *error = cd_fail(CD_LOCKED, "%.*s is %s \xff", CD_ARG(name), "locked");
  error->retry_after_ms = 1500;
  return cd_hint(error, "wait %d s", 2);
}

static cd_error *pass_on(cd_str name, bool *recognised) {
  (void)recognised;
  cd_file file;
  cd_str bytes;
  CD_TRY(cd_stat(name, &file));
  CD_TRY(cd_read_at(cd_s("absent"), 0, 1, &bytes));
  return cd_fail(CD_OTHER, "this is not reached");
}

static cd_error *read_and_list(cd_str name, bool *recognised) {
  cd_str bytes, line, rest;
  const cd_file *files;
  size_t count;
  CD_TRY(cd_list(&files, &count));
  CD_CHECK(count == 2 && files[1].size == 9ull << 30);
  CD_TRY(cd_read_at(name, 1, 100, &bytes));
  rest = bytes;
  CD_CHECK(cd_line(&rest, &line) && cd_equal(line, cd_s("ne")));
  CD_CHECK(cd_line(&rest, &line) && line.len == 0);
  CD_CHECK(cd_line(&rest, &line) && cd_equal(cd_trim(line), cd_s("two")));
  CD_CHECK(!cd_line(&rest, &line));
  CD_TRY(cd_read_at(files[1].name, 8ull << 30, 4, &bytes));
  CD_CHECK(cd_equal(bytes, (cd_str){"\0\0\0", 4}));
  CD_TRY(cd_read_at(files[1].name, 9ull << 30, 4, &bytes));
  CD_CHECK(bytes.len == 0);
  cd_log(CD_LOG_INFO, "%s", "seen");
  CD_CHECK(strcmp(cd_cstr(cd_run_id()), "run") == 0 && cd_now() == 1767225600);
  *recognised = true;
  return NULL;
}

static cd_error *give_bad_names(cd_str name, bool *recognised) {
  (void)name;
  (void)recognised;
  cd_file file;
  cd_error *error = cd_stat(cd_s("\xc3("), &file);
  CD_CHECK(error != NULL && error->code == CD_INVALID);
  error = cd_add_disk(cd_s("\xed\xa0\x80"), "raw");
  CD_CHECK(error != NULL && error->code == CD_INVALID);
  CD_TRY(cd_note(CD_NOTE_INFO, "kept \xe2\x82, \xc3\xa4"));
  return NULL;
}

static cd_error *read_settings(cd_str name, bool *recognised) {
  (void)name;
  (void)recognised;
  cd_str text;
  bool truth;
  uint64_t number;
  CD_TRY(cd_setting_text("text", &text));
  CD_CHECK(cd_equal(text, cd_s("a\"\\\n\xc3\xa4\xf0\x9f\x98\x80\xef\xbf\xbd")));
  CD_TRY(cd_setting_bool("yes", &truth));
  CD_CHECK(truth);
  CD_TRY(cd_setting_number("n", &number));
  CD_CHECK(number == 42);
  CD_CHECK(cd_setting_number("text", &number) != NULL);
  CD_CHECK(cd_setting_bool("n", &truth) != NULL);
  CD_CHECK(cd_setting_text("yes", &text) != NULL);
  /* A key of an inner object is none of this plugin's. */
  return cd_setting_text("inner", &text);
}

static void numbers(void) {
  static const struct {
    const char *text;
    uint64_t most;
    bool fine;
    uint64_t number;
  } cases[] = {
      {"0", 0, true, 0},        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
      {"18446744073709551616", UINT64_MAX, false, 0}, {"99999999999999999999999", UINT64_MAX, false, 0},
      {"", 9, false, 0},        {"-1", 9, false, 0},
      {"1 ", 9, false, 0},      {"10", 9, false, 0},
      {"007", 9, true, 7},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    uint64_t number = 0;
    CD_CHECK(cd_number(cd_s(cases[i].text), cases[i].most, &number) == cases[i].fine);
    CD_CHECK(number == cases[i].number);
  }
}

static void utf8(void) {
  static const char *const good[] = {"", "a", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"};
  static const char *const bad[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
                                    "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5", "\xc2", "\xe2\x82", "a\xff"};
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) CD_CHECK(cd_is_utf8(cd_s(good[i])));
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) CD_CHECK(!cd_is_utf8(cd_s(bad[i])));
}

int main(void) {
  cd_test_reset();
  cd_test_file("a", "one\n\n two\r", 10);
  cd_test_zeros("big", 9ull << 30);

  cd_test_outcome outcome = call(fail_in_full);
  CD_CHECK(outcome.failed && outcome.code == CD_LOCKED && outcome.retry_after_ms == 1500);
  CD_CHECK_TEXT(outcome.message, "a is locked \xef\xbf\xbd");
  CD_CHECK_TEXT(outcome.hint, "wait 2 s");

  outcome = call(pass_on);
  CD_CHECK(outcome.failed && outcome.code == CD_NOT_FOUND);
  CD_CHECK_TEXT(outcome.hint, "");

  CD_CHECK_TEXT(call(read_and_list).message, "");
  CD_CHECK_TEXT(cd_test_log(), "seen\n");
  CD_CHECK_TEXT(call(give_bad_names).message, "");
  CD_CHECK(cd_test_noted(CD_NOTE_INFO, "kept \xef\xbf\xbd\xef\xbf\xbd, \xc3\xa4"));

  cd_test_settings("{ \"other\" : [1, {\"inner\": \"}\"}], \"text\":\"a\\\"\\\\\\n\\u00e4\\ud83d\\ude00\\ud800\","
                   "\"yes\":true ,\"n\":42}");
  outcome = call(read_settings);
  CD_CHECK(outcome.failed && outcome.code == CD_INVALID);
  CD_CHECK_TEXT(outcome.message, "there is no setting `inner`");
  static const char *const broken[] = {"", "{", "{\"", "{\"text", "{\"text\":", "{\"text\":\"", "{\"text\":\"\\",
                                       "{\"text\":\"\\u12", "[]", "{\"text\":[[[[", "{\"a\":1,", "null"};
  for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
    cd_test_settings(broken[i]);
    CD_CHECK(call(read_settings).failed);
  }
  numbers();
  utf8();
  cd_test_reset();
  return 0;
}
