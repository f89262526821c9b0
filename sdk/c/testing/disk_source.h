/*
 * A host in memory for the unit tests of a disk source: files that are given here, and the machine
 * that the plugin records. Everything is this process's; no WebAssembly is involved, so a debugger
 * and the compiler's sanitizers work as for any program. Failures of the test's own making (a file
 * that is given twice) end the process.
 */
#ifndef COFFERDAM_TESTING_DISK_SOURCE_H
#define COFFERDAM_TESTING_DISK_SOURCE_H

#include "cofferdam_disk_source.h"
#include "testing.h"

#define CD_TEST_MOST 64

/* What the plugin recorded; texts end with NUL. */
typedef struct {
  size_t disks;
  char disk_names[CD_TEST_MOST][256];
  char disk_formats[CD_TEST_MOST][16];
  char name[256];
  char firmware[16];
  uint32_t memory;
  size_t nics;
  char nic_macs[CD_TEST_MOST][32];
  char nic_models[CD_TEST_MOST][64];
} cd_test_machine;

/* A file of the source folder. The bytes are copied. */
void cd_test_file(const char *name, const void *bytes, size_t length);
/* A file of zeros that takes no memory. */
void cd_test_zeros(const char *name, uint64_t length);

/*
 * Calls the plugin as the host does: through the export, with everything freed afterwards. Fails
 * the process where memory of the call is left.
 */
cd_test_outcome cd_test_discover(const char *name, bool *recognised);
/* The machine that was recorded since the last reset. */
const cd_test_machine *cd_test_found(void);

#endif
