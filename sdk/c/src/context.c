/* The call that is going on, and the plugin's settings as text. */
#include "internal.h"

void cd_log(cd_level level, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  plugin_string_t message = cd_lend(cd_vfmt(format, arguments));
  va_end(arguments);
  plugin_list_tuple2_string_string_t none = {NULL, 0};
  cofferdam_runtime_context_log((cofferdam_runtime_context_level_t)level, &message, &none);
}

cd_str cd_run_id(void) {
  plugin_string_t id = {NULL, 0};
  cofferdam_runtime_context_run_id(&id);
  return cd_adopt(id);
}

bool cd_cancelled(void) { return cofferdam_runtime_context_cancelled(); }

bool cd_deadline(uint32_t *milliseconds) {
  return cofferdam_runtime_context_deadline(milliseconds);
}

int64_t cd_now(void) {
  cofferdam_runtime_context_timestamp_t now = {0, 0};
  cofferdam_runtime_context_now(&now);
  return now.seconds;
}

void cd_progress(uint64_t done, uint64_t total, const char *unit) {
  plugin_string_t lent = cd_lend(cd_s(unit));
  cofferdam_runtime_context_progress(done, total, &lent);
}

cd_str cd_settings(void) {
  plugin_string_t settings = {NULL, 0};
  cofferdam_runtime_config_settings(&settings);
  return cd_adopt(settings);
}

#ifdef __wasm__
/* The bindings ask for an object file with the component's type, which `plugin build` puts in. */
void __component_type_object_force_link_plugin(void);
void __component_type_object_force_link_plugin(void) {}
#endif
