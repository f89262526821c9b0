/* Reads every address that 32 bits can say, looking for what is not its own. */

__attribute__((export_name("cofferdam:plugin/fixing@0.1.0#fix"))) int fix(void) {
  volatile unsigned char *at = 0;
  unsigned sum = 0;
  for (unsigned long i = 0; i < 0xffffffff; i += 4096) sum += at[i];
  return (int)sum;
}

__attribute__((export_name("cabi_realloc"))) void *reallocate(void *old, unsigned long old_size,
                                                              unsigned long align,
                                                              unsigned long size) {
  (void)old, (void)old_size, (void)align, (void)size;
  return (void *)65536;
}
