//! The machine as QEMU's command line.

use cofferdam_sdk::step::ToolRequest;

use crate::{Bus, Firmware, Format, Input};

/// The name that the grant gives QEMU.
pub(crate) const PROGRAM: &str = "qemu";

/// How the machine is run. The README's grant has a pattern for each argument.
pub(crate) fn request(input: &Input) -> ToolRequest {
    let machine = match input.firmware {
        // Without graphics the firmware and GRUB speak through the serial port, too.
        Firmware::Bios => "pc,graphics=off",
    };
    // QEMU's own file-system and process isolation, as libvirt sets it.
    let sandbox = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
    let format = match input.format {
        Format::Raw => "raw",
        // An image may name another file as the one below it; it is not opened.
        Format::Qcow2 => "qcow2,backing=",
    };
    let mut request = ToolRequest::new("boot", PROGRAM)
        .timeout(input.timeout.0)
        .arguments(["-no-user-config", "-nodefaults", "-no-reboot"])
        .arguments(["-sandbox", sandbox])
        .arguments(["-machine", machine])
        .arguments(["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max"])
        .arguments(["-m", &input.memory.to_string()])
        .arguments(["-display", "none", "-serial", "stdio"])
        .argument("-drive")
        .artifact(
            &input.disk,
            format!("file={{}},format={format},if=none,id=disk,snapshot=on"),
        );
    request = match input.bus {
        Bus::VirtioBlk => request.arguments(["-device", "virtio-blk-pci,drive=disk"]),
        Bus::VirtioScsi => request.arguments([
            "-device",
            "virtio-scsi-pci",
            "-device",
            "scsi-hd,drive=disk",
        ]),
    };
    if input.network {
        request = request
            .arguments(["-netdev", "user,id=net,restrict=on"])
            .arguments(["-device", "virtio-net-pci,netdev=net"]);
    }
    request.stop_when = input.ends();
    request
}
