/* Logs its whole memory in ever longer lines, and never stops. */

__attribute__((import_module("cofferdam:runtime/context@0.1.0"), import_name("log"))) void
host_log(int level, const char *message, unsigned long length, void *fields, unsigned long count);

__attribute__((export_name("cofferdam:plugin/fixing@0.1.0#fix"))) int fix(void) {
  static char line[32768];
  for (unsigned long i = 0; i < sizeof line; i++) line[i] = 'a' + (char)(i % 26);
  for (unsigned long length = 0;; length = (length + 1) % sizeof line)
    host_log(3, line, length, 0, 0);
}

__attribute__((export_name("cabi_realloc"))) void *reallocate(void *old, unsigned long old_size,
                                                              unsigned long align,
                                                              unsigned long size) {
  (void)old, (void)old_size, (void)align, (void)size;
  return (void *)65536;
}
