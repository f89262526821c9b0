/* The text of a .vmx file: one pass, each line looked at once, so that the time is the text's
 * length whatever it holds. */
#include "vmx.h"

#include <string.h>

const char *const vmx_bus_names[VMX_BUSES] = {"scsi", "nvme", "sata", "ide"};

static int hexadecimal(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

/* `|22` is a quotation mark. What is no such escape stands for itself. */
static cd_str unescape(cd_str text) {
  if (text.len == 0 || memchr(text.ptr, '|', text.len) == NULL) return text;
  char *out = cd_alloc(text.len);
  size_t written = 0;
  for (size_t i = 0; i < text.len; i++) {
    if (text.ptr[i] == '|' && text.len - i > 2) {
      int high = hexadecimal(text.ptr[i + 1]), low = hexadecimal(text.ptr[i + 2]);
      if (high >= 0 && low >= 0) {
        out[written++] = (char)(high * 16 + low);
        i += 2;
        continue;
      }
    }
    out[written++] = text.ptr[i];
  }
  return (cd_str){out, written};
}

/* Splits `text` at the first `letter`; false where it has none. */
static bool split(cd_str text, char letter, cd_str *before, cd_str *behind) {
  const char *found = text.len == 0 ? NULL : memchr(text.ptr, letter, text.len);
  if (found == NULL) return false;
  *before = (cd_str){text.ptr, (size_t)(found - text.ptr)};
  *behind = (cd_str){found + 1, text.len - before->len - 1};
  return true;
}

bool vmx_true(vmx_value value) { return cd_equal_nocase(value.text, cd_s("TRUE")); }

/* `prefix` and a number below `limit`. */
static bool numbered(cd_str text, const char *prefix, unsigned limit, unsigned *number) {
  size_t length = strlen(prefix);
  uint64_t value;
  if (text.len <= length || !cd_equal_nocase((cd_str){text.ptr, length}, cd_s(prefix))) {
    return false;
  }
  if (!cd_number((cd_str){text.ptr + length, text.len - length}, limit - 1, &value)) return false;
  *number = (unsigned)value;
  return true;
}

bool vmx_place(cd_str text, unsigned *bus, unsigned *controller, unsigned *unit) {
  cd_str device, place;
  uint64_t number;
  if (!split(text, ':', &device, &place) || !cd_number(place, VMX_UNITS - 1, &number)) return false;
  *unit = (unsigned)number;
  for (*bus = 0; *bus < VMX_BUSES; ++*bus) {
    if (numbered(device, vmx_bus_names[*bus], VMX_CONTROLLERS, controller)) return true;
  }
  return false;
}

/* A key below a device or the machine itself, and where its value belongs. */
typedef struct {
  const char *key;
  vmx_value *value;
} slot;

static vmx_value *pick(cd_str key, const slot *slots, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (cd_equal_nocase(key, cd_s(slots[i].key))) return slots[i].value;
  }
  return NULL;
}
#define PICK(key, slots) pick((key), (slots), sizeof(slots) / sizeof((slots)[0]))

/* Where the value of a key belongs; NULL where it says nothing that is wanted. */
static vmx_value *find(cd_str key, vmx_machine *machine) {
  const slot own[] = {
      {"config.version", &machine->config_version},
      {"virtualHW.version", &machine->hardware_version},
      {"displayName", &machine->name},
      {"firmware", &machine->firmware},
      {"memsize", &machine->memory},
      {"bios.hddOrder", &machine->disk_order},
      {".encoding", &machine->encoding},
      {"encryption.keySafe", &machine->key_safe},
      {"uefi.secureBoot.enabled", &machine->secure_boot},
      {"vtpm.present", &machine->tpm},
  };
  vmx_value *value = PICK(key, own);
  cd_str head, field;
  if (value != NULL || !split(key, '.', &head, &field)) return value;
  unsigned bus, controller, unit;
  if (vmx_place(head, &bus, &controller, &unit)) {
    vmx_device *device = &machine->devices[bus][controller][unit];
    const slot fields[] = {
        {"present", &device->present},
        {"fileName", &device->file},
        {"deviceType", &device->type},
        {"mode", &device->mode},
    };
    return PICK(field, fields);
  }
  if (numbered(head, "ethernet", VMX_NICS, &unit)) {
    vmx_nic *nic = &machine->nics[unit];
    const slot fields[] = {
        {"present", &nic->present},         {"virtualDev", &nic->model},
        {"addressType", &nic->address_type}, {"address", &nic->address},
        {"generatedAddress", &nic->generated},
    };
    return PICK(field, fields);
  }
  return NULL;
}

/* A value between quotation marks, or a bare word as old versions wrote it. */
static bool unquote(cd_str text, cd_str *value) {
  if (text.len == 0 || text.ptr[0] != '"') {
    *value = text;
    return text.len == 0 || memchr(text.ptr, '"', text.len) == NULL;
  }
  if (text.len < 2 || text.ptr[text.len - 1] != '"') return false;
  *value = (cd_str){text.ptr + 1, text.len - 2};
  return value->len == 0 || memchr(value->ptr, '"', value->len) == NULL;
}

cd_error *vmx_read(cd_str text, vmx_machine *machine) {
  cd_str line, key, value;
  unsigned number = 0;
  if (cd_starts(text, cd_s("\xef\xbb\xbf"))) text = (cd_str){text.ptr + 3, text.len - 3};
  while (cd_line(&text, &line)) {
    number++;
    line = cd_trim(line);
    if (line.len == 0 || line.ptr[0] == '#') continue;
    if (!split(line, '=', &key, &value) || !unquote(cd_trim(value), &value)) {
      return cd_hint(cd_fail(CD_CORRUPT, "line %u is not `key = \"value\"`", number),
                     "copy the file from the datastore again");
    }
    key = cd_trim(key);
    vmx_value *slot = find(key, machine);
    if (slot == NULL) continue;
    value = unescape(value);
    if (slot->line != 0 && !cd_equal(slot->text, value)) {
      return cd_hint(
          cd_fail(CD_CORRUPT, "`%.*s` is on line %u and, with another value, on line %u",
                  CD_ARG(key), slot->line, number),
          "VMware does not start such a machine; remove the wrong one");
    }
    *slot = (vmx_value){value, number};
  }
  return NULL;
}
