//! Kernel arguments: which of them name a disk by its hardware, and what they say instead.
//!
//! Sources: `Documentation/admin-guide/kernel-parameters.txt` of Linux 6.1 (`root=`,
//! `resume=`); without an initial RAM file system the kernel knows `PARTUUID=` and no
//! other stable name (`init/do_mounts.c`); initramfs-tools(7) for what its scripts know.

use std::{collections::BTreeSet, ops::Range};

use cofferdam_sdk::{
    Severity,
    devices::{HardwareName, Names, stable_names},
    types::BlockDevice,
};

/// What is known of the disks.
pub(crate) struct Disks<'a> {
    /// All of them.
    pub(crate) devices: &'a [BlockDevice],
    /// The one that holds `/`.
    pub(crate) root: Option<&'a BlockDevice>,
}

/// One kernel command line of a file.
pub(crate) struct CommandLine {
    /// Its arguments, in order.
    pub(crate) arguments: Vec<Range<usize>>,
    /// Whether the kernel is started with an initial RAM file system.
    pub(crate) initrd: bool,
}

/// What is to become of a file.
#[derive(Default)]
pub(crate) struct Changes {
    /// What is replaced, in order.
    pub(crate) replacements: Vec<(Range<usize>, Vec<u8>)>,
    /// `OLD becomes NEW`, each once.
    pub(crate) summary: BTreeSet<String>,
    /// Each once, though every menu entry may give rise to it.
    pub(crate) notes: BTreeSet<(Weight, String)>,
}

/// A [`Severity`] that sorts, the heaviest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    Block,
    Warn,
    Info,
}

impl From<Weight> for Severity {
    fn from(weight: Weight) -> Self {
        match weight {
            Weight::Block => Self::Block,
            Weight::Warn => Self::Warn,
            Weight::Info => Self::Info,
        }
    }
}

/// A name that needs no quoting in sh, in GRUB's script and on a kernel command line.
fn is_plain(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"=_-.:+/".contains(&byte))
}

impl Disks<'_> {
    fn stable(&self, device: &BlockDevice, initrd: bool) -> Option<String> {
        let mut names = stable_names(self.devices, device).into_iter();
        names.find(|name| is_plain(name) && (initrd || name.starts_with("PARTUUID=")))
    }

    /// Plans the changes of one command line of the file at `path`.
    pub(crate) fn change(
        &self,
        path: &str,
        content: &[u8],
        line: &CommandLine,
        changes: &mut Changes,
    ) {
        for argument in &line.arguments {
            let bytes = content.get(argument.clone()).unwrap_or_default();
            let Ok(text) = std::str::from_utf8(bytes) else {
                continue;
            };
            let Some((key, value)) = text.split_once('=') else {
                continue;
            };
            if !matches!(key, "root" | "resume") {
                continue;
            }
            if HardwareName::of(value).is_none() {
                let inside = value.trim_matches(['\\', '"', '\'']);
                if HardwareName::of(inside).is_some() {
                    changes.notes.insert((
                        Weight::Warn,
                        format!("{path}: {text} is quoted in a way that is not edited; change it by hand"),
                    ));
                }
                continue;
            }
            let stable = match key {
                "root" => self.root_argument(path, value, line.initrd, changes),
                _ => self.resume_argument(path, value, line.initrd, changes),
            };
            match stable {
                Change::Keep => {}
                Change::Become(stable) => {
                    let new = format!("{key}={stable}");
                    changes.summary.insert(format!("{text} becomes {new}"));
                    changes
                        .replacements
                        .push((argument.clone(), new.into_bytes()));
                }
                Change::Remove => {
                    changes.summary.insert(format!("{text} is removed"));
                    let done = changes
                        .replacements
                        .last()
                        .map_or(0, |(range, _)| range.end);
                    let gap = with_gap(content, argument, done);
                    changes.replacements.push((gap, Vec::new()));
                }
            }
        }
    }

    fn root_argument(
        &self,
        path: &str,
        value: &str,
        initrd: bool,
        changes: &mut Changes,
    ) -> Change {
        let device = Names::new(self.devices).resolve(value).or(self.root);
        let Some(device) = device else {
            changes.notes.insert((
                Weight::Warn,
                format!("{path}: root={value} is none of the disks given, and stays as it is"),
            ));
            return Change::Keep;
        };
        if let Some(stable) = self.stable(device, initrd) {
            return Change::Become(stable);
        }
        let own = self.root.is_some_and(|root| root.index == device.index);
        let what = if initrd {
            "no UUID of its own, and stays as it is; give its file system one"
        } else {
            "no partition UUID, which is all that a kernel without an initial RAM file system \
             understands; give the kernel one"
        };
        changes.notes.insert((
            if own { Weight::Block } else { Weight::Warn },
            format!("{path}: root={value} has {what}"),
        ));
        Change::Keep
    }

    fn resume_argument(
        &self,
        path: &str,
        value: &str,
        initrd: bool,
        changes: &mut Changes,
    ) -> Change {
        let device = Names::new(self.devices).resolve(value);
        if let Some(stable) = device.and_then(|device| self.stable(device, initrd)) {
            return Change::Become(stable);
        }
        changes.notes.insert((
            Weight::Warn,
            format!(
                "{path}: resume={value} is none of the disks given, and is removed: the guest does \
                 not resume from hibernation; name its swap again if it should"
            ),
        ));
        Change::Remove
    }
}

enum Change {
    Keep,
    Become(String),
    Remove,
}

/// An argument with the blanks before it, or, where it is the first, with those behind it;
/// nothing before `done`.
fn with_gap(content: &[u8], argument: &Range<usize>, done: usize) -> Range<usize> {
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
    let before = content.get(done..argument.start).unwrap_or_default();
    let before = before.iter().rev().take_while(blank).count();
    if before > 0 {
        return argument.start - before..argument.end;
    }
    let after = content.get(argument.end..).unwrap_or_default();
    let after = after.iter().take_while(blank).count();
    argument.start..argument.end + after
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_sdk::text;

    fn device(old: &str, uuid: Option<&str>) -> BlockDevice {
        BlockDevice {
            index: u32::from(old.as_bytes()[old.len() - 1]),
            partition_uuid: Some(format!("0000-{}", &old[old.len() - 1..])),
            uuid: uuid.map(str::to_string),
            old_names: vec![old.into()],
            ..BlockDevice::default()
        }
    }

    fn change(line: &str, initrd: bool) -> (String, Changes) {
        let devices = [
            device("/dev/sda1", Some("root")),
            device("/dev/sda5", Some("swap")),
        ];
        let disks = Disks {
            devices: &devices,
            root: devices.first(),
        };
        let command_line = CommandLine {
            arguments: text::words(line.as_bytes(), 0..line.len()),
            initrd,
        };
        let mut changes = Changes::default();
        disks.change("f", line.as_bytes(), &command_line, &mut changes);
        let new = text::replace_ranges(line.as_bytes(), &changes.replacements);
        (String::from_utf8(new).unwrap(), changes)
    }

    #[test]
    fn arguments_change_where_they_name_hardware() {
        let cases = [
            ("ro root=/dev/sda1 quiet", "ro root=UUID=root quiet"),
            (
                "root=/dev/sda1 root=/dev/hda9",
                "root=UUID=root root=UUID=root",
            ),
            ("root=/dev/sda5", "root=UUID=swap"),
            ("root=UUID=x ro", "root=UUID=x ro"),
            ("root=/dev/mapper/vg-root", "root=/dev/mapper/vg-root"),
            (
                "root=LABEL=x realroot=/dev/sda1",
                "root=LABEL=x realroot=/dev/sda1",
            ),
            ("real.root=/dev/sda1 root", "real.root=/dev/sda1 root"),
            ("resume=/dev/sda5", "resume=UUID=swap"),
            ("a  resume=/dev/sdb1\tb", "a\tb"),
            ("resume=/dev/sdb1  b", "b"),
            ("resume=/dev/sdb1 resume=/dev/sdb2 resume=/dev/sdb3", ""),
            (
                "resume=/dev/sdb1 root=/dev/sda1 resume=/dev/sdb1",
                "root=UUID=root",
            ),
        ];
        for (old, new) in cases {
            assert_eq!(change(old, true).0, new, "{old}");
        }
    }

    #[test]
    fn a_kernel_alone_understands_partition_uuids() {
        assert_eq!(change("root=/dev/sda1", false).0, "root=PARTUUID=0000-1");
    }

    #[test]
    fn what_is_not_changed_is_noted() {
        let (new, changes) = change("root=\\\"/dev/sda1\\\"", true);
        assert_eq!(new, "root=\\\"/dev/sda1\\\"");
        assert_eq!(changes.notes.len(), 1);
        assert!(change("root=UUID=x", true).1.notes.is_empty());
    }

    #[test]
    fn a_root_without_a_stable_name_blocks() {
        let nameless = BlockDevice {
            old_names: vec!["/dev/sda1".into()],
            label: Some("needs quotes".into()),
            ..BlockDevice::default()
        };
        let devices = [nameless];
        let disks = Disks {
            devices: &devices,
            root: devices.first(),
        };
        let line = CommandLine {
            arguments: text::words(b"root=/dev/sda1", 0..14),
            initrd: true,
        };
        let mut changes = Changes::default();
        disks.change("f", b"root=/dev/sda1", &line, &mut changes);
        assert!(changes.replacements.is_empty());
        let weights: Vec<bool> = changes
            .notes
            .iter()
            .map(|(weight, _)| *weight == Weight::Block)
            .collect();
        assert_eq!(weights, [true]);
    }
}
