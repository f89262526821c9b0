/* Overwrites a pointer to a function with a number and calls it. */

typedef int (*function)(int);

static int harmless(int number) { return number; }

static struct {
  char name[8];
  volatile function call;
} object = {"object", harmless};

__attribute__((export_name("cofferdam:plugin/fixing@0.1.0#fix"))) int fix(void) {
  volatile char *name = object.name;
  for (int i = 0; i < 12; i++) name[i] = 0x41;
  return object.call(1);
}

__attribute__((export_name("cabi_realloc"))) void *reallocate(void *old, unsigned long old_size,
                                                              unsigned long align,
                                                              unsigned long size) {
  (void)old, (void)old_size, (void)align, (void)size;
  return (void *)65536;
}
