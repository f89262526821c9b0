//! The records that the contract's interfaces share (`wit/types`, and the types-only
//! interfaces of `wit/guest`).
//!
//! The generated bindings use these very types, so nothing is converted at the border,
//! and they serialise with the field names of the contract (`old-names`), which is how
//! test cases write them.

use serde::{Deserialize, Serialize};

pub use crate::error::{Error, ErrorCode};

/// How much a message matters to the person who approves a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Should be looked at before approval.
    Warn,
    /// The plan must not be applied.
    Block,
}

impl Severity {
    // The name that the generated bindings call; unknown numbers never arrive, because
    // the host's component model checks them.
    #[doc(hidden)]
    pub fn _lift(value: u8) -> Self {
        match value {
            0 => Self::Info,
            1 => Self::Warn,
            _ => Self::Block,
        }
    }
}

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A block device node.
    BlockDevice,
    /// A character device node.
    CharacterDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl FileKind {
    #[doc(hidden)]
    pub fn _lift(value: u8) -> Self {
        match value {
            0 => Self::Regular,
            1 => Self::Directory,
            2 => Self::Symlink,
            3 => Self::BlockDevice,
            4 => Self::CharacterDevice,
            5 => Self::Fifo,
            _ => Self::Socket,
        }
    }
}

/// A point in time, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// 0 to 999,999,999.
    #[serde(default)]
    pub nanoseconds: u32,
}

/// The metadata of one inode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Metadata {
    /// The inode's number: an identity within its file system, only ever compared.
    pub inode: u64,
    /// What it is.
    pub kind: FileKind,
    /// The permission bits, 0 to 0o7777 (no file type bits).
    pub mode: u32,
    /// Number of names.
    pub links: u32,
    /// User id.
    pub owner: u32,
    /// Group id.
    pub group: u32,
    /// Length of the content in bytes; of a symbolic link, of its target.
    pub size: u64,
    /// Major and minor number of a device node.
    pub device: Option<(u32, u32)>,
    /// Last read.
    pub accessed: Timestamp,
    /// Last change of the content.
    pub modified: Timestamp,
    /// Last change of the inode.
    pub changed: Timestamp,
}

/// One name in a directory. `.` and `..` are never listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// The escaped name (see [`crate::path`]).
    pub name: String,
    /// What it names.
    pub kind: FileKind,
    /// The inode it names.
    pub inode: u64,
}

/// Some of a directory's entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Page {
    /// In an order that does not change while the directory does not.
    pub entries: Vec<Entry>,
    /// Where to go on; none when this was the last page.
    pub next: Option<String>,
}

/// What a new inode gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Attributes {
    /// The permission bits, 0 to 0o7777; octal text (`"0644"`) when serialised.
    #[serde(with = "octal")]
    pub mode: u32,
    /// User id.
    pub owner: u32,
    /// Group id.
    pub group: u32,
    /// Value of the extended attribute `security.selinux`, without a trailing NUL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

impl Attributes {
    /// Root's, with this mode and no label.
    pub fn root(mode: u32) -> Self {
        Self {
            mode,
            owner: 0,
            group: 0,
            label: None,
        }
    }
}

/// Permission bits as octal text, which is how people read them.
pub(crate) mod octal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(mode: &u32, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{mode:04o}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
        let text = String::deserialize(from)?;
        u32::from_str_radix(&text, 8).map_err(D::Error::custom)
    }
}

/// How full a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Space {
    /// Bytes in a block.
    pub block_size: u32,
    /// Number of blocks.
    pub blocks: u64,
    /// Blocks that an unprivileged writer can still take.
    pub free_blocks: u64,
    /// Number of inodes; 0 where they are made on demand.
    pub inodes: u64,
    /// Inodes that are free.
    pub free_inodes: u64,
}

/// A disk or partition of the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct BlockDevice {
    /// Its number in this run; partitions and whole disks share one count.
    pub index: u32,
    /// Which disk it is on, from 0.
    pub disk: u32,
    /// Its partition number; none for a disk that is used without a partition table.
    pub partition: Option<u32>,
    /// First byte on the disk.
    pub offset: u64,
    /// Length in bytes.
    pub size: u64,
    /// What it holds, by the name that `blkid` uses (`ext4`, `swap`, `crypto_LUKS`);
    /// none where nothing recognised it.
    pub kind: Option<String>,
    /// UUID of the file system or of what else it holds.
    pub uuid: Option<String>,
    /// Label of the file system.
    pub label: Option<String>,
    /// The partition's UUID as Linux prints it: `xxxxxxxx-NN` on MBR, a GUID on GPT.
    pub partition_uuid: Option<String>,
    /// The partition's name (GPT only).
    pub partition_label: Option<String>,
    /// Names that the guest's kernel may have had for it on the source hardware
    /// (`/dev/sda1`, `/dev/hda1`, `/dev/xvda1`, `/dev/nvme0n1p1`).
    pub old_names: Vec<String>,
}

/// An operating system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct OperatingSystem {
    /// `linux` or `windows`.
    pub kind: String,
    /// `ID` of os-release (`debian`).
    pub distribution: String,
    /// `VERSION_ID` of os-release; empty where it has none.
    pub version: String,
    /// A name for people (`Debian GNU/Linux 12 (bookworm)`).
    pub name: String,
    /// Machine architecture, by the kernel's name (`x86_64`); empty where unknown.
    pub architecture: String,
}

/// An installed kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Kernel {
    /// Its release (`6.1.0-44-amd64`), the name of its modules folder.
    pub version: String,
    /// Path of the image.
    pub image: String,
    /// Path of its initial RAM file system; none where there is none.
    #[serde(default)]
    pub initrd: Option<String>,
    /// Path of its modules folder; none where there is none.
    #[serde(default)]
    pub modules: Option<String>,
}

/// Where a file system belongs in the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MountPoint {
    /// Path (`/boot`).
    pub path: String,
    /// `index` of the device.
    pub device: u32,
    /// Its row's options (`ro,nofail`); empty for none.
    #[serde(default)]
    pub options: String,
}

/// A network card of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Nic {
    /// `aa:bb:cc:dd:ee:ff`.
    pub mac: String,
    /// Its model, as the source names it.
    #[serde(default)]
    pub model: Option<String>,
}

/// What the guest will run on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct TargetMachine {
    /// How disks are attached (`virtio-blk`, `virtio-scsi`, `sata`).
    pub disk_bus: String,
    /// Model of the network cards (`virtio-net`).
    pub nic_model: String,
}

impl Default for TargetMachine {
    fn default() -> Self {
        Self {
            disk_bus: "virtio-blk".into(),
            nic_model: "virtio-net".into(),
        }
    }
}

/// A file system that an inspector sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tree {
    /// Its number, from 0.
    pub index: u32,
    /// `index` of the device that holds it.
    pub device: u32,
    /// What it is (`ext4`).
    pub kind: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of an enum of the contract, in its order.
    fn names(wit: &'static str, name: &str) -> Vec<&'static str> {
        let body = wit.split(&format!("enum {name} {{")).nth(1).unwrap();
        let lines = body.split('}').next().unwrap().lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty() && !line.starts_with("///"))
            .map(|line| line.trim_end_matches(','))
            .collect()
    }

    #[test]
    fn enums_have_the_numbers_of_the_contract() {
        let wit = include_str!("../wit/types/types.wit");
        for (number, name) in (0u8..).zip(names(wit, "file-kind")) {
            let kind = FileKind::_lift(number);
            assert_eq!(kind as u8, number);
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
        }
        for (number, name) in (0u8..).zip(names(wit, "severity")) {
            let severity = Severity::_lift(number);
            assert_eq!(severity as u8, number);
            assert_eq!(serde_json::to_value(severity).unwrap(), name);
        }
    }
}
