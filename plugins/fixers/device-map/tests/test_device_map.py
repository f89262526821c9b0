"""Tests of the fixer's logic over a guest in memory: `python3 -m unittest discover tests`.

The cases in `cases/` run here, and against the built component by the host's tests.
"""

import json
import pathlib
import sys
import tomllib
import unittest

PLUGIN = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PLUGIN / "src"))

import device_map


class MemoryGuest:
    """What `app.Guest` is to the component, over a dictionary of files."""

    def __init__(self, files, settings, disk_bus):
        self.files = files
        self.given = settings
        self.bus = disk_bus
        self.edits = []
        self.notes = []

    def settings(self):
        return self.given

    def disk_bus(self):
        return self.bus

    def read(self, path, most):
        content = self.files.get(path)
        return None if content is None else content[: most + 1]

    def remove(self, path, reason):
        del self.files[path]
        self.edits.append({"op": "remove", "path": path, "reason": reason})

    def warn(self, message):
        self.notes.append({"severity": "warn", "message": message})


def defaults():
    manifest = tomllib.loads((PLUGIN / "plugin.toml").read_text())
    properties = manifest["settings"]["properties"]
    return {name: schema["default"] for name, schema in properties.items()}


def load(folder):
    case = tomllib.loads((folder / "case.toml").read_text())
    files = {}
    for path in (folder / "tree").rglob("*"):
        if path.is_file():
            files["/" + str(path.relative_to(folder / "tree"))] = path.read_bytes()
    for path, override in case.get("files", {}).items():
        files[path] = override["text"].encode()
    target = case.get("facts", {}).get("target", {})
    settings = defaults() | case.get("settings", {})
    return MemoryGuest(files, settings, target.get("disk-bus", "virtio-blk"))


class Cases(unittest.TestCase):
    def test_each_plans_what_is_expected_and_nothing_twice(self):
        folders = sorted(path for path in (PLUGIN / "cases").iterdir() if path.is_dir())
        self.assertTrue(folders)
        for folder in folders:
            with self.subTest(case=folder.name):
                expected = json.loads((folder / "expected.json").read_text())
                guest = load(folder)
                device_map.fix(guest)
                self.assertEqual({"edits": guest.edits, "notes": guest.notes}, expected)
                guest.edits = []
                device_map.fix(guest)
                self.assertEqual(guest.edits, [])


class Names(unittest.TestCase):
    def test_names_by_bus(self):
        for device, bus, stale in [
            ("/dev/sda", "virtio-blk", True),
            ("/dev/hda", "virtio-blk", True),
            ("/dev/xvda", "virtio-blk", True),
            ("/dev/nvme0n1", "virtio-blk", True),
            ("/dev/cciss/c0d0", "virtio-blk", True),
            ("/dev/sda", "virtio-scsi", False),
            ("/dev/sda", "sata", False),
            ("/dev/vda", "virtio-blk", False),
            ("/dev/vda", "virtio-scsi", True),
            ("/dev/sda", "unheard-of", True),
            ("/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0", "sata", True),
            ("/dev/disk/by-id/scsi-36000c29d", "sata", True),
            ("/dev/disk/by-id/ata-VMware_Virtual_SATA_0001", "virtio-blk", True),
            ("/dev/disk/by-id/wwn-0x6000c29d", "virtio-blk", True),
            ("/dev/disk/by-id/dm-name-vg-root", "virtio-blk", False),
            ("/dev/disk/by-id/lvm-pv-uuid-aaaa", "virtio-blk", False),
            ("/dev/disk/by-id/md-uuid-1:2", "virtio-blk", False),
            ("/dev/disk/by-uuid/aa-bb", "virtio-blk", False),
            ("/dev/mapper/mpatha", "virtio-blk", False),
            ("/dev/md0", "virtio-blk", False),
            ("/dev/fd0", "virtio-blk", False),
        ]:
            with self.subTest(device=device, bus=bus):
                found = device_map.stale_names(f"(hd0)\t{device}\n", bus)
                self.assertEqual(found, [f"(hd0) {device}"] if stale else [])

    def test_only_entries_count(self):
        text = "# (hd0) /dev/sda\n\n(hd1)\t/dev/sdb\r\n  (hd2) /dev/sdc  # note\n(hd3)\n/dev/sdd\n"
        found = device_map.stale_names(text, "virtio-blk")
        self.assertEqual(found, ["(hd1) /dev/sdb", "(hd2) /dev/sdc"])

    def test_bytes_that_are_no_text_are_no_error(self):
        files = {"/boot/grub/device.map": b"\xff\xfe\n(hd0) /dev/sda\n"}
        guest = MemoryGuest(files, {"mode": "stale"}, "virtio-blk")
        device_map.fix(guest)
        self.assertEqual(len(guest.edits), 1)

    def test_what_is_too_long_is_left_alone(self):
        content = b"(hd0) /dev/sda\n" * 10_000
        guest = MemoryGuest({"/boot/grub/device.map": content}, {"mode": "stale"}, "virtio-blk")
        device_map.fix(guest)
        self.assertEqual(guest.edits, [])
        self.assertEqual(guest.notes[0]["severity"], "warn")


if __name__ == "__main__":
    unittest.main()
