/* What the plugin finds in .vmx files: a machine with everything, one thing wrong at a time, and
 * damaged files. */
#include "disk_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What every file has. */
#define HEAD ".encoding = \"UTF-8\"\nconfig.version = \"8\"\nvirtualHW.version = \"19\"\n"
#define DISK "scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"a.vmdk\"\n"

static cd_test_outcome run(const char *text, size_t length, bool *recognised) {
  cd_test_file("m.vmx", text, length);
  return cd_test_discover("m.vmx", recognised);
}

static cd_test_outcome given(const char *text, bool *recognised) {
  cd_test_reset();
  const char *disks[] = {"a.vmdk", "b.vmdk", "c.vmdk", "d.vmdk"};
  for (size_t i = 0; i < sizeof disks / sizeof disks[0]; i++) cd_test_zeros(disks[i], 1 << 20);
  return run(text, strlen(text), recognised);
}

static void a_whole_machine(void) {
  bool recognised;
  cd_test_outcome outcome = given(
      "\xef\xbb\xbf#!/usr/bin/vmware\r\n" HEAD
      "displayName = \"web |22one|22\"\r\n"
      "FIRMWARE = \"efi\"\n"
      "memSize = \"4096\"\n"
      "ide1:0.present = \"TRUE\"\nide1:0.deviceType = \"cdrom-image\"\nide1:0.fileName = \"x.iso\"\n"
      "sata0:1.present = \"TRUE\"\nsata0:1.fileName = \"c.vmdk\"\n"
      "scsi0:1.present = \"true\"\nscsi0:1.fileName = \"b.vmdk\"\nscsi0:1.deviceType = \"scsi-hardDisk\"\n"
      "scsi0:2.present = \"FALSE\"\nscsi0:2.fileName = \"gone.vmdk\"\n"
      "scsi0:10.present = TRUE\nscsi0:10.fileName = \"/vmfs/volumes/ds 2/web/d.vmdk\"\n" DISK
      "ethernet0.present = \"TRUE\"\nethernet0.virtualDev = \"vmxnet3\"\n"
      "ethernet0.addressType = \"vpx\"\nethernet0.generatedAddress = \"00:50:56:AB:CD:EF\"\n"
      "ethernet1.present = \"TRUE\"\nethernet1.addressType = \"static\"\n"
      "ethernet1.address = \"00-0c-29-00-00-01\"\nethernet1.generatedAddress = \"00:0c:29:ff:ff:ff\"\n"
      "ethernet2.present = \"FALSE\"\nethernet2.generatedAddress = \"00:0c:29:00:00:02\"\n"
      "floppy0.present = \"FALSE\"\n",
      &recognised);
  CD_CHECK_TEXT(outcome.message, "");
  CD_CHECK(recognised);
  const cd_test_machine *machine = cd_test_found();
  CD_CHECK_TEXT(machine->name, "web \"one\"");
  CD_CHECK_TEXT(machine->firmware, "uefi");
  CD_CHECK(machine->memory == 4096);
  CD_CHECK(machine->disks == 4);
  CD_CHECK_TEXT(machine->disk_names[0], "a.vmdk");
  CD_CHECK_TEXT(machine->disk_names[1], "b.vmdk");
  CD_CHECK_TEXT(machine->disk_names[2], "d.vmdk");
  CD_CHECK_TEXT(machine->disk_names[3], "c.vmdk");
  CD_CHECK_TEXT(machine->disk_formats[3], "vmdk");
  CD_CHECK(machine->nics == 2);
  CD_CHECK_TEXT(machine->nic_macs[0], "00:50:56:ab:cd:ef");
  CD_CHECK_TEXT(machine->nic_models[0], "vmxnet3");
  CD_CHECK_TEXT(machine->nic_macs[1], "00:0c:29:00:00:01");
  CD_CHECK_TEXT(machine->nic_models[1], "");
  CD_CHECK(cd_test_noted(CD_NOTE_WARN, "/vmfs/volumes/ds 2/web/d.vmdk"));
  CD_CHECK(cd_test_noted(CD_NOTE_WARN, "several kinds of controllers"));
}

static void the_order_of_the_firmware_counts(void) {
  bool recognised;
  cd_test_outcome outcome = given(
      HEAD DISK
      "scsi0:1.present = \"TRUE\"\nscsi0:1.fileName = \"b.vmdk\"\n"
      "nvme0:0.present = \"TRUE\"\nnvme0:0.fileName = \"c.vmdk\"\n"
      "bios.hddOrder = \"nvme0:0, scsi0:1,scsi0:9,nonsense,,nvme0:0\"\n",
      &recognised);
  CD_CHECK_TEXT(outcome.message, "");
  const cd_test_machine *machine = cd_test_found();
  CD_CHECK(machine->disks == 3);
  CD_CHECK_TEXT(machine->disk_names[0], "c.vmdk");
  CD_CHECK_TEXT(machine->disk_names[1], "b.vmdk");
  CD_CHECK_TEXT(machine->disk_names[2], "a.vmdk");
  CD_CHECK_TEXT(machine->name, "m");
  CD_CHECK_TEXT(machine->firmware, "bios");
  CD_CHECK(machine->memory == 0);
  size_t notes;
  cd_test_notes(&notes);
  CD_CHECK(notes == 0);
}

static void what_is_something_else_is_left_to_others(void) {
  static const char *const texts[] = {
      "", "\n\n", "# Disk DescriptorFile\nversion=1\n", "<?xml version=\"1.0\"?>\n",
      "config.version = \"8\"\n", "virtualHW.versions = \"1\"\n", "KDMV",
  };
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    bool recognised;
    cd_test_outcome outcome = given(texts[i], &recognised);
    CD_CHECK(!outcome.failed && !recognised);
    CD_CHECK(cd_test_found()->disks == 0);
  }
  bool recognised;
  cd_test_reset();
  cd_test_zeros("m.vmx", 2 << 20);
  CD_CHECK(!cd_test_discover("m.vmx", &recognised).failed && !recognised);
  cd_test_reset();
  CD_CHECK(!run(HEAD DISK "\0", sizeof(HEAD DISK) + 1, &recognised).failed && !recognised);
  cd_test_reset();
  CD_CHECK(cd_test_discover("absent.vmx", &recognised).code == CD_NOT_FOUND);
}

static void what_is_wrong_is_named(void) {
  static const struct {
    const char *text;
    cd_code code;
    const char *says;
  } cases[] = {
      {HEAD, CD_INVALID, "the machine has no disk"},
      {HEAD "nonsense\n", CD_CORRUPT, "line 4 is not `key = \"value\"`"},
      {HEAD "a = \"b\n", CD_CORRUPT, "line 4"},
      {HEAD "a = \"b\"c\"\n", CD_CORRUPT, "line 4"},
      {HEAD DISK "scsi0:0.fileName = \"b.vmdk\"\n", CD_CORRUPT, "on line 5 and, with another value, on line 6"},
      {HEAD "scsi0:0.present = \"TRUE\"\n", CD_CORRUPT, "scsi0:0 is a disk without `fileName`"},
      {HEAD "scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"e.vmdk\"\n", CD_NOT_FOUND, "scsi0:0: the disk `e.vmdk`"},
      {HEAD "scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"../..\"\n", CD_CORRUPT, "`../..` is no name"},
      {HEAD "scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"\"\n", CD_CORRUPT, "`` is no name"},
      {HEAD "scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"\xff.vmdk\"\n", CD_CORRUPT, "`\xef\xbf\xbd.vmdk` is no name"},
      {HEAD DISK "scsi0:0.deviceType = \"rawDisk\"\n", CD_UNSUPPORTED, "scsi0:0 is a physical disk"},
      {HEAD DISK "firmware = \"coreboot\"\n", CD_UNSUPPORTED, "line 6: the firmware `coreboot`"},
      {HEAD DISK "memsize = \"-1\"\n", CD_CORRUPT, "line 6: the memory `-1`"},
      {HEAD DISK "memsize = \"4294967296\"\n", CD_CORRUPT, "the memory"},
      {HEAD DISK "memsize = \"0\"\n", CD_CORRUPT, "the memory"},
      {HEAD DISK "encryption.keySafe = \"vmware:key/x\"\n", CD_LOCKED, "encrypted"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    bool recognised;
    cd_test_outcome outcome = given(cases[i].text, &recognised);
    if (!outcome.failed || outcome.code != cases[i].code ||
        strstr(outcome.message, cases[i].says) == NULL) {
      fprintf(stderr, "case %zu: code %d, `%s`\n", i, (int)outcome.code, outcome.message);
      exit(1);
    }
  }
}

static void what_should_be_looked_at_is_noted(void) {
  static const struct {
    const char *text;
    const char *says;
  } cases[] = {
      {"uefi.secureBoot.enabled = \"TRUE\"\n", "secure boot is on"},
      {"vtpm.present = \"TRUE\"\n", "a virtual TPM"},
      {"scsi0:0.mode = \"independent-nonpersistent\"\n", "forgot what was written"},
      {"ethernet3.present = \"TRUE\"\n", "ethernet3 has no usable MAC"},
      {"ethernet3.present = \"TRUE\"\nethernet3.generatedAddress = \"00:0c:29:00:00:0g\"\n", "ethernet3 has no usable MAC"},
      {"scsi0:5.present = \"TRUE\"\nscsi0:5.deviceType = \"scsi-passthru\"\n", "scsi0:5 is a device of the source's host"},
      {"displayName = \"...\"\n", "the machine's name is none"},
      {"displayName = \"caf\xe9\"\n", "the machine's name is none"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    bool recognised;
    char text[1024];
    snprintf(text, sizeof text, "%s%s", HEAD DISK, cases[i].text);
    cd_test_outcome outcome = given(text, &recognised);
    CD_CHECK_TEXT(outcome.message, "");
    if (!cd_test_noted(CD_NOTE_WARN, cases[i].says)) {
      fprintf(stderr, "case %zu: no note `%s`\n", i, cases[i].says);
      exit(1);
    }
    CD_CHECK(cd_test_found()->disks == 1);
  }
}

static void names_are_made_fit(void) {
  static const struct {
    const char *given;
    const char *name;
  } cases[] = {{"a/b", "a-b"}, {" .hidden", "hidden"}, {"tab|09", "tab-"}, {"|zz|4", "|zz|4"}, {"\xc3\xa4", "\xc3\xa4"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    bool recognised;
    char text[1024];
    snprintf(text, sizeof text, "%sdisplayName = \"%s\"\n", HEAD DISK, cases[i].given);
    CD_CHECK_TEXT(given(text, &recognised).message, "");
    CD_CHECK_TEXT(cd_test_found()->name, cases[i].name);
  }
  /* 199 bytes and a letter of two, which must not be cut. */
  char text[1024] = HEAD DISK "displayName = \"";
  for (size_t i = 0; i < 199; i++) strcat(text, "x");
  strcat(text, "\xc3\xa4yz\"\n");
  bool recognised;
  CD_CHECK_TEXT(given(text, &recognised).message, "");
  CD_CHECK(strlen(cd_test_found()->name) == 199);
}

/* Whatever is done to a file, the plugin ends with an answer. The sanitizers watch. */
static void damaged_files_have_an_answer(void) {
  static const char text[] =
      HEAD DISK "displayName = \"a|22b\"\nbios.hddOrder = \"scsi0:0\"\nmemsize = \"512\"\n"
      "ethernet0.present = \"TRUE\"\nethernet0.address = \"00:0c:29:00:00:01\"\nfirmware = \"bios\"\n";
  static const char letters[] = "\"=|\n\0:.,#\xff\xc3 TRUE0scsi";
  uint32_t random = 12345, found = 0, failed = 0;
  for (int round = 0; round < 20000; round++) {
    char damaged[sizeof text];
    size_t length = sizeof text - 1;
    memcpy(damaged, text, length);
    for (int change = 0; change <= round % 4; change++) {
      random = random * 1664525 + 1013904223;
      size_t at = (random >> 8) % length;
      random = random * 1664525 + 1013904223;
      damaged[at] = letters[(random >> 8) % (sizeof letters - 1)];
    }
    random = random * 1664525 + 1013904223;
    if (round % 3 == 0) length = (random >> 8) % length;
    cd_test_reset();
    cd_test_zeros("a.vmdk", 512);
    bool recognised;
    cd_test_outcome outcome = run(damaged, length, &recognised);
    found += recognised && !outcome.failed;
    failed += outcome.failed;
  }
  /* Otherwise nothing was tried. */
  CD_CHECK(found > 1000 && failed > 1000);
}

int main(void) {
  a_whole_machine();
  the_order_of_the_firmware_counts();
  what_is_something_else_is_left_to_others();
  what_is_wrong_is_named();
  what_should_be_looked_at_is_noted();
  names_are_made_fit();
  damaged_files_have_an_answer();
  cd_test_reset();
  puts("vmx: all tests passed");
  return 0;
}
