"""GRUB's device.map: which of its names will not exist on the target.

A map says which Linux device a drive of GRUB is: `(hd0) /dev/sda`, one drive a line, `#`
before a comment. grub-install and grub-probe read it, and stop at a device that is not
there. Without a map they look for themselves, which has been the norm since GRUB 2.00, so
a stale map is removed and not rewritten.

Names that come from what a disk holds (LVM, md, file system UUIDs) move with the disk and
are left alone. Names that come from the hardware do not.

Source: GRUB manual 2.12, "Device map"; grub-core/osdep and util/getroot.c of GRUB 2.12.
"""

import re

PATHS = ("/boot/grub/device.map", "/boot/grub2/device.map")

# Longer than any map; what is longer is no map.
LONGEST = 64 * 1024

ENTRY = re.compile(r"\s*\((?P<drive>[^()]+)\)\s+(?P<device>\S+)")

# The kernel's names of disks: sda, hdb, vda, xvda1, nvme0n1p2, mmcblk0, c0d0 of cciss.
KERNEL_NAME = re.compile(r"/dev/(?P<bus>sd|hd|vd|xvd|nvme|mmcblk|cciss/|ida/)[a-z0-9]+$")

# Links that udev makes of the bus, the model or the serial number of the source's disk.
# In by-id only the names below are made of what the disk holds.
HARDWARE_LINK = re.compile(
    r"/dev/disk/(by-path/|by-diskseq/|by-id/(?!dm-name-|dm-uuid-|md-name-|md-uuid-|lvm-pv-uuid-))"
)

# What the kernel calls the disks of a bus, where that is how they were called before.
NAMES_ON = {"virtio-blk": "vd", "virtio-scsi": "sd", "sata": "sd"}


def stale_names(text, disk_bus):
    """The entries, as `(hd0) /dev/sda`, whose device will not exist on `disk_bus`."""
    stale = []
    for line in text.splitlines():
        entry = ENTRY.match(line)
        if entry is None or line.lstrip().startswith("#"):
            continue
        device = entry["device"]
        name = KERNEL_NAME.match(device)
        moved = name is not None and name["bus"] != NAMES_ON.get(disk_bus)
        if moved or HARDWARE_LINK.match(device):
            stale.append(f"({entry['drive']}) {device}")
    return stale


def fix(guest):
    """Records the removal of every stale map of `guest`."""
    if guest.settings()["mode"] == "noop":
        return
    for path in PATHS:
        content = guest.read(path, LONGEST)
        if content is None:
            continue
        if len(content) > LONGEST:
            guest.warn(f"{path} is longer than {LONGEST} bytes, which no device map is; it was left alone")
            continue
        stale = stale_names(content.decode("utf-8", "replace"), guest.disk_bus())
        if stale:
            names = ", ".join(stale)
            guest.remove(path, f"it names disks as the source hardware did: {names}; GRUB finds them itself")
