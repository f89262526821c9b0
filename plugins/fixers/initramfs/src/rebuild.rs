//! What the guest's own tools are told, so that the next initrd they build has the drivers
//! too: a rebuild makes a new file, without what was appended to the old one.
//!
//! | tool | file | form |
//! |---|---|---|
//! | initramfs-tools | `/etc/initramfs-tools/modules` | a name a line |
//! | dracut | `/etc/dracut.conf.d/cofferdam-virtio.conf` | `add_drivers+=" names "` |
//! | mkinitcpio | `/etc/mkinitcpio.conf` | `MODULES=(names)`, before v23 `MODULES="names"` |
//! | SUSE's mkinitrd | `/etc/sysconfig/kernel` | `INITRD_MODULES="names"` |
//!
//! Every one that the guest has is edited, once: names that are there stay as they are,
//! and so does every other byte. Sources: initramfs-tools(7), dracut.conf(5),
//! mkinitcpio.conf(5), mkinitrd(8) of SUSE.

use std::collections::BTreeSet;
use std::ops::Range;

use cofferdam_sdk::{Attributes, FileKind, Guest, Result, path};

use crate::modules::{listed, normal};

const INITRAMFS_TOOLS: &str = "/etc/initramfs-tools";
const DRACUT: &str = "/etc/dracut.conf.d";
const DRACUT_MAIN: &str = "/etc/dracut.conf";
const DRACUT_OURS: &str = "/etc/dracut.conf.d/cofferdam-virtio.conf";
const MKINITCPIO: &str = "/etc/mkinitcpio.conf";
const SUSE: &str = "/etc/sysconfig/kernel";
/// No real configuration comes near it.
const MOST: u64 = 1 << 20;

const REASON: &str =
    "an initrd that the guest builds later must hold the target's disk drivers too";

/// Plans the edits for these modules.
pub fn plan(guest: &mut dyn Guest, modules: &[String]) -> Result<()> {
    if modules.is_empty() {
        return Ok(());
    }
    initramfs_tools(guest, modules)?;
    dracut(guest, modules)?;
    for (file, variable) in [(MKINITCPIO, "MODULES"), (SUSE, "INITRD_MODULES")] {
        if guest.is_file(file)? {
            let text = guest.read(file, MOST)?;
            let create = file == MKINITCPIO;
            if let Some(text) = with_words(&text, variable, modules, create) {
                guest.write(file, &text, REASON)?;
            }
        }
    }
    Ok(())
}

fn initramfs_tools(guest: &mut dyn Guest, modules: &[String]) -> Result<()> {
    if !guest.is_directory(INITRAMFS_TOOLS)? {
        return Ok(());
    }
    let file = path::join(INITRAMFS_TOOLS, "modules");
    if !guest.is_file(&file)? {
        let attributes = guest.attributes_like_siblings(INITRAMFS_TOOLS)?;
        let text = lines(modules.iter());
        return guest.create(&file, text.as_bytes(), &attributes, REASON);
    }
    let text = guest.read(&file, MOST)?;
    let there = listed(&String::from_utf8_lossy(&text));
    let mut added = lines(modules.iter().filter(|name| !there.contains(*name)));
    if added.is_empty() {
        return Ok(());
    }
    if text.last().is_some_and(|&byte| byte != b'\n') {
        added.insert(0, '\n');
    }
    guest.append(&file, added.as_bytes(), REASON)
}

fn lines<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| format!("{name}\n")).collect()
}

fn dracut(guest: &mut dyn Guest, modules: &[String]) -> Result<()> {
    let folder = guest.is_directory(DRACUT)?;
    if !folder && !guest.is_file(DRACUT_MAIN)? && !guest.is_directory("/usr/lib/dracut")? {
        return Ok(());
    }
    let mut files = vec![DRACUT_MAIN.to_owned()];
    if folder {
        let entries = guest.list(DRACUT)?.into_iter();
        let configuration = entries
            .filter(|entry| entry.kind == FileKind::Regular && entry.name.ends_with(".conf"));
        files.extend(configuration.map(|entry| path::join(DRACUT, &entry.name)));
    }
    let mut there = BTreeSet::new();
    for file in files {
        if guest.is_file(&file)? {
            let text = guest.read(&file, MOST)?;
            there.extend(dracut_drivers(&String::from_utf8_lossy(&text)));
        }
    }
    let missing: Vec<&str> = modules
        .iter()
        .filter(|name| !there.contains(*name))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let line = format!("add_drivers+=\" {} \"\n", missing.join(" "));
    if guest.is_file(DRACUT_OURS)? {
        return guest.append(DRACUT_OURS, line.as_bytes(), REASON);
    }
    if !folder {
        let label = guest.label("/etc")?;
        let attributes = Attributes {
            label,
            ..Attributes::root(0o755)
        };
        guest.make_directory(DRACUT, &attributes, REASON)?;
    }
    let attributes = guest.attributes_like_siblings(DRACUT)?;
    guest.create(DRACUT_OURS, line.as_bytes(), &attributes, REASON)
}

/// The modules that lines of dracut.conf(5) put into every initrd.
fn dracut_drivers(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        let value = [
            "add_drivers+=",
            "add_drivers=",
            "force_drivers+=",
            "force_drivers=",
        ]
        .iter()
        .find_map(|key| line.strip_prefix(key));
        if let Some(value) = value {
            let value = value.split('#').next().unwrap_or_default();
            let words = value.split(|c: char| c.is_whitespace() || c == '"' || c == '\'');
            names.extend(words.filter(|word| !word.is_empty()).map(normal));
        }
    }
    names
}

/// The text with the modules in the shell variable's last assignment; none where they are
/// there already. Without an assignment one is added at the end, where `create` says so.
fn with_words(text: &[u8], variable: &str, modules: &[String], create: bool) -> Option<Vec<u8>> {
    let Some(words) = last_assignment(text, variable) else {
        if !create {
            return None;
        }
        let mut whole = text.to_vec();
        if whole.last().is_some_and(|&byte| byte != b'\n') {
            whole.push(b'\n');
        }
        whole.extend_from_slice(format!("{variable}=({})\n", modules.join(" ")).as_bytes());
        return Some(whole);
    };
    let value = String::from_utf8_lossy(text.get(words.clone())?).into_owned();
    let there: BTreeSet<String> = value
        .lines()
        .flat_map(|line| {
            line.split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace()
        })
        .map(|word| normal(word.trim_matches(['"', '\''])))
        .collect();
    let missing: Vec<&str> = modules
        .iter()
        .filter(|name| !there.contains(*name))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return None;
    }
    // In front, where no comment of a longer list can swallow them.
    let mut added = missing.join(" ");
    if value
        .chars()
        .next()
        .is_some_and(|first| !first.is_whitespace())
    {
        added.push(' ');
    }
    let mut whole = text.get(..words.start)?.to_vec();
    whole.extend_from_slice(added.as_bytes());
    whole.extend_from_slice(text.get(words.start..)?);
    Some(whole)
}

/// Where the value of the last `NAME=(…)`, `NAME="…"` or `NAME='…'` is, without what
/// encloses it.
fn last_assignment(text: &[u8], variable: &str) -> Option<Range<usize>> {
    let key = format!("{variable}=");
    let mut found = None;
    let mut start = 0;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        if let Some(value) = line.trim_ascii_start().strip_prefix(key.as_bytes()) {
            let close = match value.first() {
                Some(b'(') => b')',
                Some(&quote @ (b'"' | b'\'')) => quote,
                _ => 0,
            };
            let open = start + line.len() - value.len() + 1;
            let length = text.get(open..).and_then(|rest| end_of(rest, close));
            if let (true, Some(length)) = (close != 0, length) {
                found = Some(open..open + length);
            }
        }
        start += line.len();
    }
    found
}

/// Where a value ends that `close` closes; in a list, comments are passed over.
fn end_of(value: &[u8], close: u8) -> Option<usize> {
    let mut comment = false;
    let mut before = b' ';
    for (place, &byte) in value.iter().enumerate() {
        match byte {
            b'\n' => comment = false,
            b'#' if close == b')' && before.is_ascii_whitespace() => comment = true,
            _ if byte == close && !comment => return Some(place),
            _ => {}
        }
        before = byte;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_variables_keep_every_other_byte() {
        let names = ["virtio_pci".to_owned(), "virtio_blk".to_owned()];
        let cases = [
            (
                "MODULES=()\nHOOKS=(base)\n",
                Some("MODULES=(virtio_pci virtio_blk)\nHOOKS=(base)\n"),
            ),
            (
                "MODULES=(ext4)\n",
                Some("MODULES=(virtio_pci virtio_blk ext4)\n"),
            ),
            (
                "MODULES=\"ext4 virtio-pci\"\n",
                Some("MODULES=\"virtio_blk ext4 virtio-pci\"\n"),
            ),
            ("MODULES=(virtio_pci virtio_blk)\n", None),
            (
                "# MODULES=(a)\n\tMODULES=(\n  a # b)\n)\n",
                Some("# MODULES=(a)\n\tMODULES=(virtio_pci virtio_blk\n  a # b)\n)\n"),
            ),
            (
                "HOOKS=(base)",
                Some("HOOKS=(base)\nMODULES=(virtio_pci virtio_blk)\n"),
            ),
        ];
        for (before, after) in cases {
            let made = with_words(before.as_bytes(), "MODULES", &names, true);
            let made = made.map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(made.as_deref(), after, "{before}");
            if let Some(made) = made {
                assert_eq!(with_words(made.as_bytes(), "MODULES", &names, true), None);
            }
        }
        assert_eq!(with_words(b"X=1\n", "INITRD_MODULES", &names, false), None);
    }

    #[test]
    fn drivers_of_dracut() {
        let names = dracut_drivers(
            "add_drivers+=\" a b-c \" # d\n#add_drivers+=\"e\"\nforce_drivers='f'\n",
        );
        assert_eq!(Vec::from_iter(names), ["a", "b_c", "f"]);
    }
}
