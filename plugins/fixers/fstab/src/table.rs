//! The table itself: which rows name a disk by its hardware, and what they say instead.

use cofferdam_sdk::{
    Severity,
    devices::{HardwareName, Names, stable_names},
    text,
    types::{BlockDevice, MountPoint},
};
use serde::Deserialize;
use std::ops::Range;

use crate::Note;

/// Which rows are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// All that name a disk by its hardware.
    All,
    /// Those under `/dev/disk/by-path` alone.
    BypathOnly,
    /// None.
    Noop,
}

/// What is to become of a table.
pub(crate) struct Plan {
    /// The whole new content.
    pub(crate) content: Vec<u8>,
    /// Where the rows that change mount, for people.
    pub(crate) changes: Vec<String>,
    pub(crate) notes: Vec<Note>,
}

/// A row that mounts something.
struct Row {
    /// Where the first field is in the file.
    range: Range<usize>,
    /// The first field, decoded.
    source: String,
    /// The second field, decoded (`none` or `swap` for swap).
    target: String,
    options: String,
}

/// Reads the rows that have a source, a mount point and a type, which is what libmount
/// demands. Bytes that are no UTF-8 are only compared, never written back.
fn rows(content: &[u8]) -> Vec<Row> {
    let lines = text::lines(content).filter_map(|line| {
        let fields = text::words(content, line);
        let field = |number: usize| {
            let bytes = content.get(fields.get(number)?.clone())?;
            Some(decode(bytes))
        };
        let (source, target, _) = (field(0)?, field(1)?, field(2)?);
        (!source.starts_with('#')).then(|| Row {
            range: fields.first().cloned().unwrap_or_default(),
            source,
            target,
            options: field(3).unwrap_or_default(),
        })
    });
    lines.collect()
}

impl Row {
    fn has_option(&self, names: &[&str]) -> bool {
        let mut options = self.options.split(',');
        options.any(|option| names.contains(&option))
    }

    /// Whether this row is one that the mode changes.
    fn is_wanted(&self, mode: Mode) -> bool {
        let kind = HardwareName::of(&self.source);
        // A bind mount's source is a path of the guest, whatever it looks like.
        !self.has_option(&["bind", "rbind"])
            && match mode {
                Mode::All => kind.is_some(),
                Mode::BypathOnly => kind == Some(HardwareName::ByPath),
                Mode::Noop => false,
            }
    }

    /// What the row is for, for people.
    fn place(&self) -> &str {
        if self.target.starts_with('/') {
            &self.target
        } else {
            "swap"
        }
    }

    /// Says that the row stays, because no device answers to it or the device that does
    /// has nothing that tells it from others.
    fn unresolved(&self, device: Option<&BlockDevice>) -> Note {
        let (place, source) = (self.place(), &self.source);
        let why = match device {
            Some(_) => "that disk has no UUID or label of its own",
            None => "that is none of the disks given",
        };
        if place == "/" {
            return (
                Severity::Block,
                format!(
                    "/etc/fstab takes / from {source}, and {why}: the guest would not boot; give \
                     its file system a UUID of its own"
                ),
            );
        }
        let effect = if self.has_option(&["nofail", "noauto"]) {
            "the guest boots without it"
        } else {
            "the guest may wait for it at boot and stop"
        };
        let message = format!(
            "/etc/fstab takes {place} from {source}, and {why}: the row stays as it is, and \
             {effect}; give the missing disk, or remove the row"
        );
        (Severity::Warn, message)
    }
}

/// Plans a table's new content.
pub(crate) fn plan(
    content: &[u8],
    mode: Mode,
    devices: &[BlockDevice],
    mounts: &[MountPoint],
) -> Plan {
    let rows = rows(content);
    let mounted_at = |target: &str| {
        let mount = mounts.iter().find(|mount| mount.path == target)?;
        devices.iter().find(|device| device.index == mount.device)
    };
    let mut names = Names::new(devices);
    for row in &rows {
        if let Some(device) = mounted_at(&row.target) {
            names.learn(&row.source, device);
        }
    }

    let mut taken: Vec<(String, String)> = rows
        .iter()
        .map(|row| (row.source.clone(), row.target.clone()))
        .collect();
    let mut replacements = Vec::new();
    let mut changes = Vec::new();
    let mut notes = Vec::new();
    for row in rows.iter().filter(|row| row.is_wanted(mode)) {
        // The root is where this very file was found, whatever its row says.
        let device = match row.target.as_str() {
            "/" => mounted_at("/").or_else(|| names.resolve(&row.source)),
            target => names.resolve(&row.source).or_else(|| mounted_at(target)),
        };
        let stable = device.map_or_else(Vec::new, |device| stable_names(devices, device));
        let Some(best) = stable.first() else {
            notes.push(row.unresolved(device));
            continue;
        };
        let same =
            |(source, target): &&(String, String)| *target == row.target && stable.contains(source);
        if let Some((other, _)) = taken.iter().find(same) {
            notes.push((
                Severity::Warn,
                format!(
                    "/etc/fstab takes {} twice, from {other} and from {}, which is the same disk: \
                     the second row stays as it is; remove it",
                    row.place(),
                    row.source
                ),
            ));
            continue;
        }
        changes.push(row.place().to_string());
        replacements.push((row.range.clone(), encode(best).into_bytes()));
        taken.push((best.clone(), row.target.clone()));
    }
    Plan {
        content: text::replace_ranges(content, &replacements),
        changes,
        notes,
    }
}

/// Undoes the octal escapes of fstab(5): a backslash and three digits are one byte.
fn decode(field: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Escapes what would end a field or begin an escape (fstab(5)).
fn encode(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    for character in field.chars() {
        match character {
            ' ' | '\t' | '\n' | '\r' | '\\' => {
                text.push_str(&format!("\\{:03o}", u32::from(character)));
            }
            character => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The table without the first fields of its rows.
    fn rest(table: &[u8]) -> Vec<u8> {
        let rows = rows(table).into_iter();
        let fields: Vec<_> = rows.map(|row| (row.range, Vec::new())).collect();
        text::replace_ranges(table, &fields)
    }

    proptest! {
        #[test]
        fn any_table_is_planned_once_and_keeps_all_but_first_fields(
            table in "((/dev/sda1|/dev/sdb1|UUID=aa|#|x|/|none|bind|nofail|\\\\|\\\\040|é)|[ \t\r\n]){0,40}"
        ) {
            let devices = [device("/dev/sda1", "aa")];
            let first = plan(table.as_bytes(), Mode::All, &devices, &[]);
            prop_assert_eq!(rest(&first.content), rest(table.as_bytes()));
            let second = plan(&first.content, Mode::All, &devices, &[]);
            prop_assert_eq!(second.changes, Vec::<String>::new());
            prop_assert_eq!(second.content, first.content);
        }
    }

    #[test]
    fn fields_are_escaped_as_the_manual_says() {
        for (plain, escaped) in [
            ("/media/My Disk", "/media/My\\040Disk"),
            ("a\tb", "a\\011b"),
            ("a\\b", "a\\134b"),
            ("é#", "é#"),
        ] {
            assert_eq!(encode(plain), escaped);
            assert_eq!(decode(escaped.as_bytes()), plain);
        }
        assert_eq!(decode(b"a\\04"), "a\\04");
        assert_eq!(decode(b"a\\999"), "a\\999");
    }

    fn device(old: &str, uuid: &str) -> BlockDevice {
        BlockDevice {
            uuid: Some(uuid.into()),
            old_names: vec![old.into()],
            ..BlockDevice::default()
        }
    }

    #[test]
    fn bytes_that_are_no_text_stay() {
        let devices = [device("/dev/sda1", "aa")];
        let table =
            b"# caf\xe9\r\n/dev/sda1 /m\xe9 ext4 defaults 0 0\r\n\t/dev/sda1  /d\text4\txx\xff";
        let plan = plan(table, Mode::All, &devices, &[]);
        assert_eq!(
            plan.content,
            b"# caf\xe9\r\nUUID=aa /m\xe9 ext4 defaults 0 0\r\n\tUUID=aa  /d\text4\txx\xff"
        );
    }

    #[test]
    fn a_root_that_nothing_identifies_blocks() {
        let table = b"/dev/sda1 / ext4 defaults 0 1\n";
        let plan = plan(table, Mode::All, &[], &[]);
        assert_eq!(plan.content, table);
        assert_eq!(plan.notes.len(), 1);
        assert_eq!(plan.notes[0].0, Severity::Block);
    }
}
