//! Disk source: one disk image file.
//!
//! **Problem.** A person points at a file. Its name says little (`disk.img` may be raw or
//! qcow2), a VMDK may be several files of which they took the wrong one, and a container
//! that is not understood must not be taken for a raw disk, because a raw disk is just bytes.
//!
//! **Design.** [`signature`] judges by content, [`descriptor`] reads which files a VMDK is
//! made of, and [`vmdk`] leads from a piece of a VMDK to its descriptor and checks that all
//! pieces are there. The machine gets one disk and the file's name without its extension.
//!
//! **Limits.** One disk. What is inside qcow2 and VMDK (a backing file, a parent, a type of
//! extent that is not read) is judged by the host when it opens the disk. Firmware, memory
//! and network cards are not known from a disk.

#[cfg(test)]
mod cases;
pub mod descriptor;
pub mod signature;
pub mod vmdk;

use cofferdam_sdk::source::{DiskSource, Machine, SourceFolder};
use cofferdam_sdk::{Error, Result, Severity};
use serde::Deserialize;

use crate::signature::{Foreign, HEAD, Remedy, Signature, TAIL};

/// Bytes in a sector: disks are whole numbers of them.
const SECTOR: u64 = 512;

/// Bytes of a machine's name that the host takes.
const LONGEST_NAME: usize = 200;

/// See the module.
pub struct Image;

cofferdam_sdk::export_disk_source!(Image);

/// The settings of plugin.toml.
#[derive(Deserialize)]
struct Settings {
    format: Choice,
}

/// What the person says the file is.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Choice {
    Auto,
    Raw,
    Qcow2,
    Vmdk,
}

impl DiskSource for Image {
    fn discover(name: &str, folder: &dyn SourceFolder, machine: &mut dyn Machine) -> Result<bool> {
        let choice = machine.settings::<Settings>()?.format;
        let size = folder.stat(name)?.size;
        if size == 0 {
            return Err(Error::invalid(format!("{name} is empty"))
                .with_hint("it was probably not copied completely"));
        }
        let head = folder.read_at(name, 0, HEAD)?;
        let tail = folder.read_at(name, size.saturating_sub(TAIL.into()), TAIL)?;
        let found = signature::recognise(&head, &tail);
        match choice {
            Choice::Raw => raw(name, size, machine)?,
            Choice::Qcow2 => record(name, "qcow2", machine)?,
            Choice::Vmdk if found == Signature::VmdkDescriptor => {
                whole_vmdk(name, folder, machine)?
            }
            Choice::Vmdk => record(name, "vmdk", machine)?,
            Choice::Auto => recognised(name, size, found, &head, folder, machine)?,
        }
        Ok(true)
    }
}

/// Records what the signature says, or says why that cannot be.
fn recognised(
    name: &str,
    size: u64,
    found: Signature,
    head: &[u8],
    folder: &dyn SourceFolder,
    machine: &mut dyn Machine,
) -> Result<()> {
    match found {
        Signature::Qcow2 => {
            warn_if_named_otherwise(name, "qcow2", machine)?;
            record(name, "qcow2", machine)
        }
        Signature::Vmdk => {
            warn_if_named_otherwise(name, "vmdk", machine)?;
            record(name, "vmdk", machine)
        }
        Signature::VmdkDescriptor => {
            warn_if_named_otherwise(name, "vmdk", machine)?;
            whole_vmdk(name, folder, machine)
        }
        Signature::VmdkExtent => match vmdk::owner(name, folder)? {
            Some(descriptor) => piece(name, &descriptor, folder, machine),
            None => Err(Error::invalid(format!(
                "{name} is one piece of a VMDK, and no descriptor in its folder names it"
            ))
            .with_hint(
                "put the text file that lists the pieces (usually the .vmdk without -s001 or \
                 -delta in its name) beside it and give that one",
            )),
        },
        Signature::Foreign(foreign) => Err(refusal(name, foreign)),
        Signature::Text => Err(text(name, head)),
        Signature::Unknown => {
            let named_vmdk = vmdk::is_named(name);
            if named_vmdk && let Some(descriptor) = vmdk::owner(name, folder)? {
                return piece(name, &descriptor, folder, machine);
            }
            if named_vmdk && vmdk::is_numbered(name) {
                return Err(Error::invalid(format!(
                    "{name} is named like one of several pieces of a VMDK, and no descriptor in \
                     its folder names it"
                ))
                .with_hint(
                    "put the text file that lists the pieces beside it and give that one; if \
                     this file is the whole disk, set format=raw",
                ));
            }
            if named_vmdk {
                machine.note(
                    Severity::Warn,
                    &format!(
                        "{name} has no VMDK signature and no descriptor in its folder names it; \
                         it is read as a raw disk"
                    ),
                )?;
            } else {
                warn_if_named_otherwise(name, "raw", machine)?;
            }
            raw(name, size, machine)
        }
    }
}

/// Uses the descriptor in place of the piece that was given.
fn piece(
    name: &str,
    descriptor: &str,
    folder: &dyn SourceFolder,
    machine: &mut dyn Machine,
) -> Result<()> {
    machine.note(
        Severity::Info,
        &format!("{name} is a piece of the VMDK {descriptor}, which is used in its place"),
    )?;
    whole_vmdk(descriptor, folder, machine)
}

fn whole_vmdk(name: &str, folder: &dyn SourceFolder, machine: &mut dyn Machine) -> Result<()> {
    for warning in vmdk::check(name, folder)? {
        machine.note(Severity::Warn, &warning)?;
    }
    record(name, "vmdk", machine)
}

fn raw(name: &str, size: u64, machine: &mut dyn Machine) -> Result<()> {
    if size < SECTOR {
        return Err(Error::invalid(format!(
            "{name} has {size} bytes, less than one sector of a disk"
        ))
        .with_hint("it was probably not copied completely"));
    }
    let rest = size % SECTOR;
    if rest != 0 {
        machine.note(
            Severity::Warn,
            &format!(
                "{name} ends {rest} bytes into a sector of {SECTOR}: it may not have been copied \
                 completely, or is no raw disk"
            ),
        )?;
    }
    record(name, "raw", machine)
}

fn record(name: &str, format: &str, machine: &mut dyn Machine) -> Result<()> {
    let called = machine_name(name);
    if !called.is_empty() {
        machine.set_name(&called)?;
    }
    machine.add_disk(name, format)
}

/// The file's name without its extension, without what the host does not take: leading dots,
/// control characters, and more than 200 bytes.
fn machine_name(file: &str) -> String {
    let file = file.rsplit_once('/').map_or(file, |(_, file)| file);
    let file = file.trim_start_matches('.');
    let stem = match file.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => file,
    };
    let mut name = String::new();
    for character in stem.chars().filter(|c| !c.is_control()) {
        if name.len() + character.len_utf8() > LONGEST_NAME {
            break;
        }
        name.push(character);
    }
    name
}

/// A guest can write a qcow2 header or a VMDK descriptor into the first sector of its own
/// raw disk, so that a name that promises raw is worth a look.
fn warn_if_named_otherwise(name: &str, format: &str, machine: &mut dyn Machine) -> Result<()> {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let promised = match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("raw" | "dd") => "raw",
        Some("qcow2") => "qcow2",
        Some("vmdk") => "vmdk",
        _ => return Ok(()),
    };
    if promised == format {
        return Ok(());
    }
    machine.note(
        Severity::Warn,
        &format!(
            "{name} is named like {promised} and begins like {format}, which is what it is read \
             as; set format={promised} if its name is right"
        ),
    )
}

fn refusal(name: &str, foreign: Foreign) -> Error {
    let file = quoted(name);
    let hint = match foreign.remedy {
        Remedy::Convert(format) => {
            format!("convert it first: qemu-img convert -f {format} -O qcow2 {file} disk.qcow2")
        }
        Remedy::Unpack(command) => {
            format!("unpack it first ({command} {file}) and give the disk that is in it")
        }
        Remedy::Advice(advice) => advice.to_owned(),
    };
    Error::unsupported(format!("{name} is {}, which is not read", foreign.what)).with_hint(hint)
}

/// The name as one word of a shell.
fn quoted(name: &str) -> String {
    format!("'{}'", name.replace('\'', "'\\''"))
}

/// Descriptions of machines that people take for the disk, by a word that each has.
fn text(name: &str, head: &[u8]) -> Error {
    let has = |word: &str| {
        head.windows(word.len())
            .any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
    };
    let (what, hint) = if has("<Envelope") || has(":Envelope") {
        (
            "an OVF, the description of a machine",
            "give the disk that it names",
        )
    } else if has("virtualHW.version") {
        (
            "a VMX, the description of a machine",
            "give the .vmdk that it names",
        )
    } else if has("<domain") {
        (
            "a libvirt domain, the description of a machine",
            "give the disk that it names",
        )
    } else {
        ("a text file, not a disk image", "give the disk image")
    };
    Error::invalid(format!("{name} is {what}")).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_named_like_its_file() {
        let long = "ä".repeat(150);
        for (file, name) in [
            ("web.vmdk", "web"),
            ("web.example.org.qcow2", "web.example.org"),
            ("disk", "disk"),
            (".hidden.img", "hidden"),
            ("sub/web.img", "web"),
            ("a\nb.img", "ab"),
            ("...", ""),
            (&long, &long[..200]),
        ] {
            assert_eq!(machine_name(file), name, "{file}");
        }
    }
}
