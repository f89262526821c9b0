//! The files in which kernel command lines are, and where in them.

use cofferdam_sdk::text;

use crate::{
    arguments::CommandLine,
    shell::{Command, assignments, commands},
};

/// A file's command lines, and what a person should know of it.
pub(crate) struct Found {
    pub(crate) lines: Vec<CommandLine>,
    pub(crate) remarks: Vec<Remark>,
}

/// Something of note in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remark {
    /// A quote is never closed, so nothing was looked at.
    Unreadable,
    /// update-grub will write a hardware name again.
    UuidsDisabled,
    /// The script starts no kernel and loads no other script that might.
    NoKernel,
    /// The script loads entries that are not edited.
    LoaderEntries,
}

impl Found {
    fn unreadable() -> Self {
        Self {
            lines: Vec::new(),
            remarks: vec![Remark::Unreadable],
        }
    }
}

/// Finds the command lines of `/etc/default/grub` (update-grub's settings, read by sh).
pub(crate) fn defaults(content: &[u8], initrd: bool) -> Found {
    let Some(commands) = commands(content) else {
        return Found::unreadable();
    };
    let values = ["GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT"]
        .into_iter()
        .flat_map(|name| assignments(content, &commands, name));
    let mut lines: Vec<CommandLine> = values
        .map(|pieces| CommandLine {
            arguments: pieces.into_iter().map(|piece| piece.range).collect(),
            initrd,
        })
        .collect();
    // Replacements are made in the file's order.
    lines.sort_by_key(|line| line.arguments.first().map(|range| range.start));
    let disabled = assignments(content, &commands, "GRUB_DISABLE_LINUX_UUID");
    let is_true = |value: &Command| {
        let pieces = value.iter().map(|piece| content.get(piece.range.clone()));
        pieces.eq([Some(b"true".as_slice())])
    };
    Found {
        lines,
        // The last assignment is the one that counts.
        remarks: disabled
            .last()
            .filter(|value| is_true(value))
            .map(|_| Remark::UuidsDisabled)
            .into_iter()
            .collect(),
    }
}

fn name<'a>(content: &'a [u8], command: &Command) -> &'a [u8] {
    let first = command.first().filter(|piece| !piece.quoted);
    first
        .and_then(|piece| content.get(piece.range.clone()))
        .unwrap_or_default()
}

fn starts_kernel(name: &[u8]) -> bool {
    matches!(name, b"linux" | b"linux16" | b"linuxefi")
}

/// Finds the command lines of a `grub.cfg`: the arguments of its `linux` commands, and
/// nothing else (`set root=` and `search` speak of GRUB's own root).
pub(crate) fn script(content: &[u8]) -> Found {
    let Some(commands) = commands(content) else {
        return Found::unreadable();
    };
    let mut lines = Vec::new();
    let mut remarks = Vec::new();
    let mut loads_more = false;
    let mut rest = commands.as_slice();
    while let Some((command, after)) = rest.split_first() {
        rest = after;
        match name(content, command) {
            kernel if starts_kernel(kernel) => {
                let later = after.iter().map(|command| name(content, command));
                let mut entry = later.take_while(|name| {
                    !starts_kernel(name) && !matches!(*name, b"menuentry" | b"}")
                });
                let initrd = entry.any(|name| name.starts_with(b"initrd"));
                // The first argument is the kernel's file.
                let image = command.get(1).map(|piece| piece.word);
                let arguments = command.iter().skip(1);
                lines.push(CommandLine {
                    arguments: arguments
                        .filter(|piece| Some(piece.word) != image)
                        .map(|piece| piece.range.clone())
                        .collect(),
                    initrd,
                });
            }
            b"blscfg" => remarks.push(Remark::LoaderEntries),
            b"configfile" | b"source" | b"." | b"chainloader" => loads_more = true,
            _ => {}
        }
    }
    if lines.is_empty() && remarks.is_empty() && !loads_more {
        remarks.push(Remark::NoKernel);
    }
    Found { lines, remarks }
}

/// Finds the command line of `/etc/kernel/cmdline` (kernel-install(8)): the whole file,
/// where lines that begin with `#` are comments.
pub(crate) fn plain(content: &[u8], initrd: bool) -> Found {
    let lines = text::lines(content).filter_map(|line| {
        let arguments = text::words(content, line);
        let first = content.get(arguments.first()?.clone())?;
        (!first.starts_with(b"#")).then_some(CommandLine { arguments, initrd })
    });
    Found {
        lines: lines.collect(),
        remarks: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Changes, Disks};
    use cofferdam_sdk::types::BlockDevice;
    use proptest::prelude::*;

    fn arguments(content: &str) -> Vec<(Vec<&str>, bool)> {
        let found = script(content.as_bytes());
        let lines = found.lines.into_iter();
        lines
            .map(|line| {
                let arguments = line.arguments.into_iter();
                (
                    arguments.map(|range| &content[range]).collect(),
                    line.initrd,
                )
            })
            .collect()
    }

    #[test]
    fn kernels_are_found_with_their_initial_file_systems() {
        let script = "set root='hd0,msdos1'\n\
            menuentry 'a' {\n linux /vmlinuz root=/dev/sda1 ro\n initrd /initrd\n}\n\
            menuentry b { linux16 \"/vmlinuz 2\" 'root=/dev/sda1'; }\n\
            submenu c {\n menuentry d {\n  if true; then linuxefi /v x; fi\n  initrdefi /i\n }\n}\n";
        assert_eq!(
            arguments(script),
            [
                (vec!["root=/dev/sda1", "ro"], true),
                (vec!["root=/dev/sda1"], false),
                (vec!["x"], true),
            ]
        );
    }

    proptest! {
        #[test]
        fn any_file_is_changed_once(
            content in "(root=/dev/sda1|resume=/dev/sda1|resume=/dev/sdb1|linux|initrd|menuentry|GRUB_CMDLINE_LINUX=|[ab{};'\"\\\\# \t\n]){0,30}"
        ) {
            let devices = [BlockDevice {
                uuid: Some("aa".into()),
                partition_uuid: Some("bb".into()),
                old_names: vec!["/dev/sda1".into()],
                ..BlockDevice::default()
            }];
            let disks = Disks { devices: &devices, root: devices.first() };
            let finders: [fn(&[u8]) -> Found; 3] =
                [script, |content| defaults(content, true), |content| plain(content, false)];
            for find in finders {
                let change = |content: &[u8]| {
                    let mut changes = Changes::default();
                    for line in find(content).lines {
                        disks.change("f", content, &line, &mut changes);
                    }
                    text::replace_ranges(content, &changes.replacements)
                };
                let first = change(content.as_bytes());
                prop_assert_eq!(change(&first), first);
            }
        }
    }

    #[test]
    fn a_script_without_a_kernel_is_remarked() {
        let remarks = |content: &str| script(content.as_bytes()).remarks;
        assert_eq!(remarks("set timeout=5\n"), [Remark::NoKernel]);
        assert_eq!(remarks("# linux /vmlinuz\n"), [Remark::NoKernel]);
        assert_eq!(remarks("configfile /grub.cfg\n"), []);
        assert_eq!(remarks("blscfg\n"), [Remark::LoaderEntries]);
        assert_eq!(remarks("linux /v\n"), []);
        assert_eq!(remarks("linux '/v\n"), [Remark::Unreadable]);
    }
}
