/* Overruns a buffer on its stack and everything above it, as a C program does that trusts a
 * length from outside: the stack here is the guest's own, and the call ends. */

__attribute__((noinline)) static void copy(volatile unsigned char *to, unsigned long length) {
  for (unsigned long i = 0; i < length; i++) to[i] = 0x41;
}

__attribute__((export_name("cofferdam:plugin/fixing@0.1.0#fix"))) int fix(void) {
  unsigned char buffer[16];
  copy(buffer, 0x7fffffff);
  return buffer[0];
}

__attribute__((export_name("cabi_realloc"))) void *reallocate(void *old, unsigned long old_size,
                                                              unsigned long align,
                                                              unsigned long size) {
  (void)old, (void)old_size, (void)align, (void)size;
  return (void *)65536;
}
