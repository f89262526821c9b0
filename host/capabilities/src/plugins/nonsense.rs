//! What a file-system plugin returns, held against what `wit/` promises.
//!
//! The host walks, reads and diffs with these records. A name with a slash in it would
//! lead a walk elsewhere, a page that points at itself would never end, a size beyond
//! what a file can have would overflow; such answers end the call instead.

use crate::arguments::{
    MOST_MODE, MOST_NAME, MOST_NOTE, MOST_PATH, MOST_WORDS, MOST_XATTR, check_name,
};
use cofferdam_contract::types::{
    FileKind, Identity, Metadata, MountReport, Page, Space, Timestamp,
};
use std::collections::HashSet;

/// The longest name of a file-system kind.
const MOST_KIND: usize = 64;

/// The most remarks of one mount.
const MOST_NOTES: usize = 100;

/// The most extended attributes of one inode.
const MOST_XATTRS: usize = 10_000;

/// What is wrong, in one sentence.
pub(crate) type Check = Result<(), String>;

fn refuse<T>(reason: impl Into<String>) -> Result<T, String> {
    Err(reason.into())
}

/// `probe`.
pub(crate) fn identity(identity: &Identity) -> Check {
    let kind = &identity.kind;
    let plain = kind.chars().all(|c| c.is_ascii_graphic());
    length("a kind", kind, MOST_KIND)?;
    if kind.is_empty() || !plain {
        return refuse(format!("{kind:?} is no name of a file-system kind"));
    }
    for (what, text) in [("UUID", &identity.uuid), ("label", &identity.label)] {
        length(
            &format!("a {what}"),
            text.as_deref().unwrap_or_default(),
            MOST_WORDS,
        )?;
        if text.as_ref().is_some_and(String::is_empty) {
            return refuse(format!(
                "an empty {what}, where none is said by leaving it out"
            ));
        }
    }
    Ok(())
}

/// Texts that are too long are not repeated to whoever reads of it.
fn length(what: &str, text: &str, most: usize) -> Check {
    if text.len() > most {
        return refuse(format!(
            "{what} of {} bytes, where {most} are the most",
            text.len()
        ));
    }
    Ok(())
}

/// `mount`.
pub(crate) fn report(report: &MountReport) -> Check {
    if report.notes.len() > MOST_NOTES {
        return refuse(format!(
            "{} notes, where {MOST_NOTES} are the most",
            report.notes.len()
        ));
    }
    report
        .notes
        .iter()
        .try_for_each(|note| length("a note", note, MOST_NOTE))
}

fn time(what: &str, time: Timestamp) -> Check {
    if time.nanoseconds > 999_999_999 {
        return refuse(format!("{} nanoseconds in {what}", time.nanoseconds));
    }
    Ok(())
}

/// `stat`.
pub(crate) fn metadata(metadata: &Metadata) -> Check {
    if metadata.mode > MOST_MODE {
        return refuse(format!("mode 0o{:o} is beyond 0o7777", metadata.mode));
    }
    if i64::try_from(metadata.size).is_err() {
        return refuse(format!("a size of {} bytes", metadata.size));
    }
    let is_device = matches!(
        metadata.kind,
        FileKind::BlockDevice | FileKind::CharacterDevice
    );
    if is_device != metadata.device.is_some() {
        return refuse(format!(
            "{:?} with device numbers {:?}",
            metadata.kind, metadata.device
        ));
    }
    time("accessed", metadata.accessed)?;
    time("modified", metadata.modified)?;
    time("changed", metadata.changed)
}

/// The pages of one directory, from the first to the last.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    path: String,
    cursors: HashSet<String>,
}

impl Listing {
    /// `list-directory`: a page that `cursor` and `limit` asked for.
    pub(crate) fn page(&mut self, path: &str, cursor: &str, limit: u32, page: &Page) -> Check {
        if cursor.is_empty() || path != self.path {
            path.clone_into(&mut self.path);
            self.cursors.clear();
        }
        if page.entries.len() > limit as usize {
            return refuse(format!(
                "{} entries in {path:?}, where {limit} were asked for",
                page.entries.len()
            ));
        }
        let mut names = HashSet::new();
        for entry in &page.entries {
            length("a name", &entry.name, MOST_NAME)?;
            if let Err(wrong) = check_name(&entry.name) {
                return refuse(format!("the name {:?} in {path:?} {wrong}", entry.name));
            }
            if !names.insert(entry.name.as_str()) {
                return refuse(format!("the name {:?} twice in {path:?}", entry.name));
            }
        }
        length(
            "a cursor",
            page.next.as_deref().unwrap_or_default(),
            MOST_PATH,
        )?;
        match &page.next {
            None => Ok(()),
            Some(_) if page.entries.is_empty() => {
                refuse(format!("an empty page of {path:?} that is not the last"))
            }
            Some(next) if next.is_empty() || next == cursor => {
                refuse(format!("a page of {path:?} whose next is itself"))
            }
            Some(next) => {
                if self.cursors.insert(next.clone()) {
                    Ok(())
                } else {
                    refuse(format!("pages of {path:?} that go round in a circle"))
                }
            }
        }
    }
}

/// `read-link`.
pub(crate) fn target(target: &str) -> Check {
    length("a link's target", target, MOST_PATH)?;
    if target.is_empty() || target.contains('\0') {
        return refuse(format!("the link target {target:?}"));
    }
    Ok(())
}

/// `list-xattrs`.
pub(crate) fn xattr_names(names: &[String]) -> Check {
    if names.len() > MOST_XATTRS {
        return refuse(format!("{} extended attributes", names.len()));
    }
    let mut seen = HashSet::new();
    for name in names {
        length("the name of an attribute", name, MOST_NAME)?;
        if name.is_empty() || name.contains('\0') {
            return refuse(format!("the attribute name {name:?}"));
        }
        if !seen.insert(name) {
            return refuse(format!("the attribute name {name:?} twice"));
        }
    }
    Ok(())
}

/// `get-xattr`.
pub(crate) fn xattr(value: &[u8]) -> Check {
    if value.len() > MOST_XATTR {
        return refuse(format!(
            "an attribute of {} bytes, where {MOST_XATTR} are the most",
            value.len()
        ));
    }
    Ok(())
}

/// `free-space`.
pub(crate) fn space(space: &Space) -> Check {
    if space.block_size == 0 {
        return refuse("blocks of 0 bytes");
    }
    if space.free_blocks > space.blocks || space.free_inodes > space.inodes {
        return refuse(format!(
            "more free than there is ({} of {} blocks, {} of {} inodes)",
            space.free_blocks, space.blocks, space.free_inodes, space.inodes
        ));
    }
    let bytes = space.blocks.checked_mul(u64::from(space.block_size));
    if bytes.is_none_or(|bytes| i64::try_from(bytes).is_err()) {
        return refuse(format!(
            "{} blocks of {} bytes",
            space.blocks, space.block_size
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_contract::types::Entry;

    const TIME: Timestamp = Timestamp {
        seconds: 0,
        nanoseconds: 0,
    };

    fn file() -> Metadata {
        Metadata {
            inode: 12,
            kind: FileKind::Regular,
            mode: 0o644,
            links: 1,
            owner: 0,
            group: 0,
            size: 5,
            device: None,
            accessed: TIME,
            modified: TIME,
            changed: TIME,
        }
    }

    fn page(names: &[&str], next: Option<&str>) -> Page {
        let entry = |name: &&str| Entry {
            name: (*name).to_owned(),
            kind: FileKind::Regular,
            inode: 12,
        };
        Page {
            entries: names.iter().map(entry).collect(),
            next: next.map(str::to_owned),
        }
    }

    #[test]
    fn contradictory_metadata_is_nonsense() {
        assert_eq!(metadata(&file()), Ok(()));
        let late = Timestamp {
            seconds: 0,
            nanoseconds: 1_000_000_000,
        };
        let cases: [(Metadata, &str); 5] = [
            (
                Metadata {
                    mode: 0o100_644,
                    ..file()
                },
                "mode",
            ),
            (
                Metadata {
                    size: 1 << 63,
                    ..file()
                },
                "size",
            ),
            (
                Metadata {
                    device: Some((8, 1)),
                    ..file()
                },
                "device numbers",
            ),
            (
                Metadata {
                    kind: FileKind::BlockDevice,
                    ..file()
                },
                "device numbers",
            ),
            (
                Metadata {
                    changed: late,
                    ..file()
                },
                "nanoseconds",
            ),
        ];
        for (case, expected) in cases {
            let reason = metadata(&case).unwrap_err();
            assert!(reason.contains(expected), "{reason}");
        }
    }

    #[test]
    fn pages_have_plain_names_and_end() {
        let check = |limit, page| Listing::default().page("/d", "", limit, &page);
        assert_eq!(check(2, page(&["a", "b"], Some("b"))), Ok(()));
        assert_eq!(check(2, page(&[], None)), Ok(()));
        let cases = [
            (2, page(&["a/b"], None), "`/`"),
            (2, page(&[""], None), "empty"),
            (2, page(&[".."], None), "`..`"),
            (2, page(&["a", "a"], None), "twice"),
            (1, page(&["a", "b"], None), "1 were asked"),
            (2, page(&[], Some("x")), "empty page"),
            (2, page(&["a"], Some("")), "itself"),
        ];
        for (limit, page, expected) in cases {
            let reason = check(limit, page).unwrap_err();
            assert!(reason.contains(expected), "{reason}");
        }
    }

    #[test]
    fn what_is_long_is_nonsense_and_is_not_repeated() {
        let long = "x".repeat(1 << 20);
        let note = MountReport {
            replayed: false,
            notes: vec![long.clone()],
        };
        let notes = MountReport {
            replayed: false,
            notes: vec![String::new(); MOST_NOTES + 1],
        };
        let labelled = Identity {
            kind: "ext4".to_owned(),
            uuid: None,
            label: Some(long.clone()),
            clean: true,
        };
        let listed = |page| Listing::default().page("/", "", 9, &page);
        for checked in [
            report(&note),
            report(&notes),
            identity(&labelled),
            target(&long),
            xattr_names(std::slice::from_ref(&long)),
            xattr(long.as_bytes()),
            listed(page(&[&long], None)),
            listed(page(&["a"], Some(&long))),
        ] {
            let reason = checked.unwrap_err();
            assert!(reason.len() < 100, "{} bytes", reason.len());
        }
    }

    #[test]
    fn pages_that_go_round_are_found() {
        let mut listing = Listing::default();
        listing.page("/d", "", 9, &page(&["a"], Some("1"))).unwrap();
        listing
            .page("/d", "1", 9, &page(&["b"], Some("2")))
            .unwrap();
        assert!(
            listing
                .page("/d", "2", 9, &page(&["c"], Some("1")))
                .is_err()
        );
        listing.page("/d", "", 9, &page(&["a"], Some("1"))).unwrap();
        assert!(
            listing
                .page("/d", "1", 9, &page(&["b"], Some("1")))
                .is_err()
        );
    }

    #[test]
    fn the_rest_is_held_to_its_words() {
        let good = Space {
            block_size: 4096,
            blocks: 10,
            free_blocks: 10,
            inodes: 0,
            free_inodes: 0,
        };
        assert_eq!(space(&good), Ok(()));
        assert!(
            space(&Space {
                free_blocks: 11,
                ..good
            })
            .is_err()
        );
        assert!(
            space(&Space {
                block_size: 0,
                ..good
            })
            .is_err()
        );
        assert!(
            space(&Space {
                blocks: u64::MAX,
                ..good
            })
            .is_err()
        );
        assert!(target("").is_err());
        assert!(xattr_names(&["user.a".to_owned(), "user.a".to_owned()]).is_err());
        let ext4 = Identity {
            kind: "ext4".to_owned(),
            uuid: None,
            label: None,
            clean: true,
        };
        assert_eq!(identity(&ext4), Ok(()));
        assert!(
            identity(&Identity {
                kind: "ext 4".to_owned(),
                ..ext4.clone()
            })
            .is_err()
        );
        assert!(
            identity(&Identity {
                label: Some(String::new()),
                ..ext4
            })
            .is_err()
        );
    }
}
