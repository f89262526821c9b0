//! Which system it is, and facts about it for people and fixers.

use std::collections::BTreeMap;

use cofferdam_sdk::types::OperatingSystem;
use cofferdam_sdk::{FileTree, Result};

use crate::fstab::Row;
use crate::{elf, lenient, os_release};

/// Small text files are read up to this length.
const TEXT: u64 = 64 * 1024;

/// Programs that every system has one of.
const PROGRAMS: [&str; 8] = [
    "/bin/ls",
    "/bin/sh",
    "/usr/bin/ls",
    "/usr/bin/sh",
    "/sbin/init",
    "/usr/lib/systemd/systemd",
    "/bin/busybox",
    "/lib/systemd/systemd",
];

/// The first line that is neither empty nor a comment.
fn line(view: &dyn FileTree, path: &str) -> Result<Option<String>> {
    let text = lenient::text(view, path, TEXT)?.unwrap_or_default();
    let mut lines = text.lines().map(str::trim);
    Ok(lines
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned))
}

/// The operating system: by os-release, else by the files that distributions had before it.
pub fn operating_system(view: &dyn FileTree) -> Result<OperatingSystem> {
    let mut os = OperatingSystem {
        kind: "linux".to_owned(),
        architecture: architecture(view)?,
        ..OperatingSystem::default()
    };
    for path in ["/etc/os-release", "/usr/lib/os-release"] {
        let Some(text) = lenient::text(view, path, TEXT)? else {
            continue;
        };
        let values = os_release::parse(&text);
        let value = |name: &str| values.get(name).cloned().unwrap_or_default();
        // The defaults are os-release(5)'s.
        os.distribution = values.get("ID").cloned().unwrap_or("linux".to_owned());
        os.version = value("VERSION_ID");
        os.name = ["PRETTY_NAME", "NAME"]
            .into_iter()
            .map(value)
            .find(|name| !name.is_empty())
            .unwrap_or("Linux".to_owned());
        return Ok(os);
    }
    if let Some(version) = line(view, "/etc/debian_version")? {
        os.distribution = "debian".to_owned();
        os.name = format!("Debian {version}");
        os.version = version;
        return Ok(os);
    }
    for (path, distribution) in [
        ("/etc/redhat-release", "rhel"),
        ("/etc/SuSE-release", "suse"),
        ("/etc/alpine-release", "alpine"),
        ("/etc/arch-release", "arch"),
        ("/etc/gentoo-release", "gentoo"),
    ] {
        if view.exists(path)? {
            let name = line(view, path)?.unwrap_or_default();
            os.distribution = distribution.to_owned();
            os.version = name
                .split_whitespace()
                .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
                .unwrap_or_default()
                .to_owned();
            os.name = if name.is_empty() {
                distribution.to_owned()
            } else {
                name
            };
            return Ok(os);
        }
    }
    os.distribution = "linux".to_owned();
    os.name = "Linux".to_owned();
    Ok(os)
}

fn architecture(view: &dyn FileTree) -> Result<String> {
    for path in PROGRAMS {
        if !view.is_file(path)? {
            continue;
        }
        let header = view.read_at(path, 0, elf::HEADER)?;
        if let Some(architecture) = elf::architecture(&header) {
            return Ok(architecture.to_owned());
        }
    }
    Ok(String::new())
}

/// Facts by key; the README says what each means.
pub fn facts(view: &dyn FileTree, rows: &[Row]) -> Result<BTreeMap<&'static str, String>> {
    let mut facts = BTreeMap::new();
    if let Some(id) = line(view, "/etc/machine-id")?.filter(|id| id != "uninitialized") {
        facts.insert("machine-id", id);
    }
    if let Some(name) = line(view, "/etc/hostname")? {
        facts.insert("hostname", name);
    }
    let loaders: Vec<&str> = [
        ("grub2", "/boot/grub/grub.cfg"),
        ("grub2", "/boot/grub2/grub.cfg"),
        ("grub-legacy", "/boot/grub/menu.lst"),
        ("systemd-boot", "/boot/loader/loader.conf"),
        ("systemd-boot", "/efi/loader/loader.conf"),
        ("extlinux", "/boot/extlinux/extlinux.conf"),
        ("syslinux", "/boot/syslinux/syslinux.cfg"),
        ("lilo", "/etc/lilo.conf"),
    ]
    .into_iter()
    .map(|(loader, path)| Ok(view.exists(path)?.then_some(loader)))
    .filter_map(Result::transpose)
    .collect::<Result<_>>()?;
    if let Some(loader) = loaders.first() {
        facts.insert("boot-loader", (*loader).to_owned());
    }
    for entries in [
        "/boot/loader/entries",
        "/efi/loader/entries",
        "/boot/efi/loader/entries",
    ] {
        let found = lenient::entries(view, entries)?;
        if found.iter().any(|entry| entry.name.ends_with(".conf")) {
            facts.insert("boot-loader-entries", entries.to_owned());
            break;
        }
    }
    let esp = rows.iter().find(|row| {
        let custom = ["/boot/efi", "/efi"].contains(&&*row.path);
        custom || (row.path == "/boot" && ["vfat", "msdos"].contains(&&*row.kind))
    });
    if let Some(esp) = esp {
        facts.insert("efi-system-partition", esp.path.clone());
    }
    if let Some(firmware) = firmware(view, facts.contains_key("efi-system-partition"))? {
        facts.insert("firmware", firmware.to_owned());
    }
    Ok(facts)
}

/// What the guest was installed to start by: an EFI system partition in fstab, else the
/// platform that GRUB's modules are for.
fn firmware(view: &dyn FileTree, has_esp: bool) -> Result<Option<&'static str>> {
    if has_esp {
        return Ok(Some("uefi"));
    }
    for folder in ["/boot/grub", "/boot/grub2"] {
        for entry in lenient::entries(view, folder)? {
            if entry.name.ends_with("-efi") {
                return Ok(Some("uefi"));
            }
            if entry.name == "i386-pc" {
                return Ok(Some("bios"));
            }
        }
    }
    Ok(None)
}
