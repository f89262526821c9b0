/*
 * The text of a .vmx file as a machine.
 *
 * Sources: VMware, "Virtual Machine Configuration File (.vmx)"; what VMware Workstation 17 and ESXi
 * 8 write; virt-v2v, input/parse_domain_from_vmx.ml and nbdkit's reading of the same files. The
 * format is `key = "value"` a line, keys without regard to case, `#` for comments, and `|XX` for a
 * character by its hexadecimal number.
 */
#ifndef VMX_H
#define VMX_H

#include "cofferdam.h"

/* Kinds of controllers, in the order in which a machine's disks are counted. */
enum { VMX_SCSI, VMX_NVME, VMX_SATA, VMX_IDE, VMX_BUSES };

#define VMX_CONTROLLERS 4
#define VMX_UNITS 64
#define VMX_NICS 10

/* A value, and the line it is on; line 0 where it is not there. */
typedef struct {
  cd_str text;
  unsigned line;
} vmx_value;

/* One place on a controller. */
typedef struct {
  vmx_value present;
  vmx_value file;
  vmx_value type;
  vmx_value mode;
} vmx_device;

/* One network card. */
typedef struct {
  vmx_value present;
  vmx_value model;
  vmx_value address_type;
  vmx_value address;
  vmx_value generated;
} vmx_nic;

typedef struct {
  vmx_value config_version;
  vmx_value hardware_version;
  vmx_value name;
  vmx_value firmware;
  vmx_value memory;
  vmx_value disk_order;
  vmx_value encoding;
  vmx_value key_safe;
  vmx_value secure_boot;
  vmx_value tpm;
  vmx_device devices[VMX_BUSES][VMX_CONTROLLERS][VMX_UNITS];
  vmx_nic nics[VMX_NICS];
} vmx_machine;

/* The names of the buses, as keys begin with them. */
extern const char *const vmx_bus_names[VMX_BUSES];

/*
 * Reads the text. A line that is no assignment, or a key of this machine that is there twice with
 * different values, is CD_CORRUPT and named by its number. Keys that say nothing of the machine
 * are skipped.
 */
cd_error *vmx_read(cd_str text, vmx_machine *machine);

/* Whether a value is TRUE; absent is not. */
bool vmx_true(vmx_value value);

/*
 * The place that a key's first part names, such as `scsi0:1`; false where it names none that a
 * machine has.
 */
bool vmx_place(cd_str text, unsigned *bus, unsigned *controller, unsigned *unit);

#endif
