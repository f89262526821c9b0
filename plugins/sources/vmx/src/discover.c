/*
 * A VMware machine by its .vmx file.
 *
 * Problem. A machine is more than a disk: which of its disks is the first, what firmware starts it
 * and which addresses its network cards have stand in one text beside the disks. A person who
 * names the disks by hand gets the order wrong, or forgets one.
 *
 * Design. `vmx.c` reads the text, this file judges it. Disks are counted as virt-v2v counts them:
 * SCSI, NVMe, SATA, IDE, each by controller and unit; `bios.hddOrder` goes first where it is set. A
 * disk that the file places elsewhere is taken from the .vmx file's own folder where it was copied
 * there, and said so.
 *
 * Limits. What is inside a VMDK (its extents, a snapshot's parent) is judged by the host when it
 * opens the disk. Physical disks are refused. Which disk a UEFI machine starts from is in its
 * NVRAM, which is not read.
 */
#include "cofferdam_disk_source.h"
#include "vmx.h"

#include <string.h>

/* The largest .vmx file; ESXi writes some 4 KiB. */
#define MOST_BYTES (1u << 20)
/* Bytes of a machine's name that the host takes. */
#define LONGEST_NAME 200

/* The part of a path behind its last slash of either kind. */
static cd_str base(cd_str path) {
  for (size_t i = path.len; i > 0; i--) {
    char letter = path.ptr[i - 1];
    if (letter == '/' || letter == '\\') return (cd_str){path.ptr + i, path.len - i};
  }
  return path;
}

static cd_str stem(cd_str name) {
  name = base(name);
  for (size_t i = name.len; i > 1; i--) {
    if (name.ptr[i - 1] == '.') return (cd_str){name.ptr, i - 1};
  }
  return name;
}

/* A name that the host takes for a machine, made of one that VMware takes. */
static cd_error *set_name(cd_str name) {
  char *clean = cd_cstr(name);
  size_t length = 0;
  for (size_t i = 0; i < name.len; i++) {
    unsigned char letter = (unsigned char)name.ptr[i];
    if (length == 0 && (letter == '.' || letter == ' ')) continue;
    clean[length++] = letter < 0x20 || letter == 0x7f || letter == '/' ? '-' : (char)letter;
  }
  if (length > LONGEST_NAME) {
    length = LONGEST_NAME;
    /* Not in the middle of a character. */
    while (length > 0 && ((unsigned char)clean[length] & 0xc0) == 0x80) length--;
  }
  cd_str whole = {clean, length};
  if (length == 0 || !cd_is_utf8(whole)) {
    return cd_note(CD_NOTE_WARN, "the machine's name is none that can be used here; set one");
  }
  return cd_set_name(whole);
}

/* The file of the folder that a disk's name means. */
static cd_error *locate(cd_str place, cd_str given, cd_str *file) {
  cd_str name = base(given);
  bool elsewhere = name.len != given.len;
  if (name.len == 0 || cd_equal(name, cd_s("..")) || !cd_is_utf8(given)) {
    return cd_hint(cd_fail(CD_CORRUPT, "%.*s: `%.*s` is no name of a disk's file", CD_ARG(place),
                           CD_ARG(given)),
                   "names in other encodings than UTF-8 are not read");
  }
  cd_file found;
  cd_error *error = cd_stat(name, &found);
  if (error != NULL) {
    cd_error *missing = cd_fail(error->code, "%.*s: the disk `%.*s`: %.*s", CD_ARG(place),
                                CD_ARG(given), CD_ARG(error->message));
    return cd_hint(missing, "copy it, and the files that it names, beside the .vmx file");
  }
  *file = found.name;
  if (!elsewhere) return NULL;
  return cd_note(CD_NOTE_WARN, "%.*s: the machine has its disk at %.*s; taken is %.*s beside the .vmx file",
                 CD_ARG(place), CD_ARG(given), CD_ARG(name));
}

/* Whether a place holds a disk; what holds something else is said where it matters. */
static cd_error *is_disk(cd_str place, const vmx_device *device, bool *disk) {
  cd_str type = device->type.text;
  *disk = false;
  if (!vmx_true(device->present)) return NULL;
  if (cd_equal_nocase(type, cd_s("atapi-cdrom")) || cd_starts(type, cd_s("cdrom-"))) return NULL;
  if (cd_ends_nocase(type, cd_s("passthru")) || cd_starts(type, cd_s("scsi-nonpassthru"))) {
    return cd_note(CD_NOTE_WARN, "%.*s is a device of the source's host (%.*s) and stays there",
                   CD_ARG(place), CD_ARG(type));
  }
  if (cd_equal_nocase(type, cd_s("rawDisk"))) {
    return cd_hint(cd_fail(CD_UNSUPPORTED, "%.*s is a physical disk", CD_ARG(place)),
                   "copy it into an image and migrate that");
  }
  if (device->file.line == 0) {
    return cd_fail(CD_CORRUPT, "%.*s is a disk without `fileName`", CD_ARG(place));
  }
  *disk = true;
  return NULL;
}

static cd_error *add_disk(unsigned bus, unsigned controller, unsigned unit, vmx_machine *machine,
                          bool *added) {
  vmx_device *device = &machine->devices[bus][controller][unit];
  cd_str place = cd_fmt("%s%u:%u", vmx_bus_names[bus], controller, unit), file;
  CD_TRY(is_disk(place, device, added));
  if (!*added) return NULL;
  CD_TRY(locate(place, device->file.text, &file));
  CD_TRY(cd_add_disk(file, "vmdk"));
  if (cd_equal_nocase(device->mode.text, cd_s("independent-nonpersistent"))) {
    CD_TRY(cd_note(CD_NOTE_WARN, "%.*s forgot what was written at each power-off; migrated, it keeps it",
                   CD_ARG(place)));
  }
  /* Once, though the order names it too. */
  device->present.text = cd_s("FALSE");
  return NULL;
}

/* The disks that `bios.hddOrder` names, such as `scsi0:1,scsi0:0`. */
static cd_error *add_ordered(vmx_machine *machine, size_t *disks) {
  cd_str rest = machine->disk_order.text;
  while (rest.len > 0) {
    const char *comma = memchr(rest.ptr, ',', rest.len);
    size_t length = comma == NULL ? rest.len : (size_t)(comma - rest.ptr);
    cd_str word = cd_trim((cd_str){rest.ptr, length});
    size_t taken = comma == NULL ? length : length + 1;
    rest = (cd_str){rest.ptr + taken, rest.len - taken};
    unsigned bus, controller, unit;
    bool added = false;
    if (vmx_place(word, &bus, &controller, &unit)) {
      CD_TRY(add_disk(bus, controller, unit, machine, &added));
      *disks += added;
    }
  }
  return NULL;
}

static cd_error *add_disks(vmx_machine *machine) {
  size_t disks = 0, buses = 0;
  CD_TRY(add_ordered(machine, &disks));
  bool ordered = disks > 0;
  for (unsigned bus = 0; bus < VMX_BUSES; bus++) {
    size_t before = disks;
    for (unsigned controller = 0; controller < VMX_CONTROLLERS; controller++) {
      for (unsigned unit = 0; unit < VMX_UNITS; unit++) {
        bool added;
        CD_TRY(add_disk(bus, controller, unit, machine, &added));
        disks += added;
      }
    }
    buses += disks > before;
  }
  if (disks == 0) {
    return cd_hint(cd_fail(CD_INVALID, "the machine has no disk"),
                   "a template or a machine that starts from the network cannot be migrated");
  }
  if (buses > 1 && !ordered) {
    return cd_note(CD_NOTE_WARN,
                   "the machine has disks on several kinds of controllers; taken in the order SCSI, "
                   "NVMe, SATA, IDE, so check that the first is the one it starts from");
  }
  return NULL;
}

/* `AA:BB:…` or `aa-bb-…` in lower case with colons; false where it is no MAC. */
static bool mac(cd_str text, cd_str *address) {
  if (text.len != 17) return false;
  char *out = cd_cstr(text);
  for (size_t i = 0; i < 17; i++) {
    if (i % 3 == 2) {
      if (out[i] != ':' && out[i] != '-') return false;
      out[i] = ':';
      continue;
    }
    if (out[i] >= 'A' && out[i] <= 'F') out[i] = (char)(out[i] + ('a' - 'A'));
    if (strchr("0123456789abcdef", out[i]) == NULL || out[i] == '\0') return false;
  }
  *address = (cd_str){out, 17};
  return true;
}

static cd_error *add_nics(const vmx_machine *machine) {
  for (unsigned i = 0; i < VMX_NICS; i++) {
    const vmx_nic *nic = &machine->nics[i];
    if (!vmx_true(nic->present)) continue;
    bool fixed = cd_equal_nocase(nic->address_type.text, cd_s("static"));
    vmx_value given = fixed || nic->generated.line == 0 ? nic->address : nic->generated;
    cd_str address;
    if (mac(given.text, &address)) {
      CD_TRY(cd_add_nic(address, nic->model.text));
    } else {
      CD_TRY(cd_note(CD_NOTE_WARN,
                     "ethernet%u has no usable MAC address; it gets another one, which the guest "
                     "may take for another card",
                     i));
    }
  }
  return NULL;
}

static cd_error *set_firmware(const vmx_machine *machine) {
  cd_str firmware = machine->firmware.text;
  bool uefi = cd_equal_nocase(firmware, cd_s("efi"));
  if (!uefi && firmware.len > 0 && !cd_equal_nocase(firmware, cd_s("bios"))) {
    return cd_fail(CD_UNSUPPORTED, "line %u: the firmware `%.*s` is neither bios nor efi",
                   machine->firmware.line, CD_ARG(firmware));
  }
  CD_TRY(cd_set_firmware(uefi ? "uefi" : "bios"));
  if (vmx_true(machine->secure_boot)) {
    CD_TRY(cd_note(CD_NOTE_WARN,
                   "secure boot is on: the target needs its keys, and drivers that are signed"));
  }
  if (!vmx_true(machine->tpm)) return NULL;
  return cd_note(CD_NOTE_WARN,
                 "the machine has a virtual TPM, whose content stays behind: what it unlocks (BitLocker, "
                 "LUKS) needs its recovery key");
}

static cd_error *set_memory(const vmx_machine *machine) {
  uint64_t memory;
  if (machine->memory.line == 0) return NULL;
  if (!cd_number(machine->memory.text, UINT32_MAX, &memory) || memory == 0) {
    return cd_fail(CD_CORRUPT, "line %u: the memory `%.*s` is no number of MiB",
                   machine->memory.line, CD_ARG(machine->memory.text));
  }
  return cd_set_memory((uint32_t)memory);
}

/* Whether the text may be a .vmx file: looked for before a broken line is an error. */
static bool has_versions(cd_str text) {
  cd_str line;
  while (cd_line(&text, &line)) {
    line = cd_trim(line);
    for (size_t end = 0; end < line.len; end++) {
      if (line.ptr[end] != '=') continue;
      cd_str key = cd_trim((cd_str){line.ptr, end});
      if (cd_equal_nocase(key, cd_s("virtualHW.version"))) return true;
      break;
    }
  }
  return false;
}

cd_error *cd_discover(cd_str name, bool *recognised) {
  cd_file file;
  cd_str text;
  CD_TRY(cd_stat(name, &file));
  if (file.size > MOST_BYTES) return NULL;
  CD_TRY(cd_read_at(name, 0, MOST_BYTES, &text));
  bool binary = text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL;
  if (binary || !has_versions(text)) return NULL;
  *recognised = true;

  vmx_machine *machine = cd_alloc(sizeof *machine);
  CD_TRY(vmx_read(text, machine));
  if (machine->key_safe.line != 0) {
    return cd_hint(cd_fail(CD_LOCKED, "the machine is encrypted (`encryption.keySafe`)"),
                   "decrypt it with VMware first");
  }
  CD_TRY(set_name(machine->name.text.len > 0 ? machine->name.text : stem(name)));
  CD_TRY(set_firmware(machine));
  CD_TRY(set_memory(machine));
  CD_TRY(add_disks(machine));
  return add_nics(machine);
}
