//! What changed in a plugin's folder.
//!
//! **Problem.** An author saves a file and wants to see the new plugin. Saving touches several
//! files, editors write beside and rename, and the build itself may write into the folder.
//!
//! **Design.** The folder is walked now and then. A file whose time or length is another is
//! read, and counts as changed where its content is: what a build writes again letter for
//! letter starts no further build. Polling needs no facility of the system, works on network
//! file systems and in containers, and costs a few `stat` calls where nothing happens.
//!
//! **Limits.** What lies outside the folder (a crate that it depends on) is not seen, nor are
//! hidden files and folders that tools fill. A build that writes something else each time
//! would never rest.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Folders that tools fill.
const NOT_SOURCES: [&str; 4] = ["target", "node_modules", "__pycache__", "dist"];

/// The largest file whose content is looked at, bytes; of a larger one time and length count.
const MOST_READ: u64 = 16 << 20;

/// The deepest folder that is looked into.
const DEEPEST: usize = 32;

/// One file as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    modified: Option<SystemTime>,
    length: u64,
    /// SHA-256; none of what cannot be read or is too large.
    content: Option<[u8; 32]>,
}

impl Seen {
    fn same_content(&self, other: &Self) -> bool {
        match (self.content, other.content) {
            (Some(one), Some(other)) => one == other,
            _ => self == other,
        }
    }
}

/// A folder as it was seen.
#[derive(Debug, Clone, Default)]
pub struct Sources(BTreeMap<PathBuf, Seen>);

impl Sources {
    /// Looks at the folder; what is known already is only read again where it was touched.
    pub fn look(folder: &Path, known: &Self) -> Self {
        let mut found = Self::default();
        walk(folder, 0, &mut |path, metadata| {
            let modified = metadata.modified().ok();
            let length = metadata.len();
            let before = known
                .0
                .get(&path)
                .filter(|seen| seen.modified == modified && seen.length == length);
            let seen = before.cloned().unwrap_or_else(|| Seen {
                modified,
                length,
                content: content(&path, length),
            });
            found.0.insert(path, seen);
        });
        found
    }

    /// The files that are new, gone or different here, compared with `before`, by path.
    pub fn changed(&self, before: &Self) -> Vec<PathBuf> {
        let differs = |(path, seen): &(&PathBuf, &Seen)| {
            before
                .0
                .get(*path)
                .is_none_or(|other| !other.same_content(seen))
        };
        let mut changed: Vec<PathBuf> = self
            .0
            .iter()
            .filter(differs)
            .map(|(path, _)| path.clone())
            .chain(
                before
                    .0
                    .keys()
                    .filter(|path| !self.0.contains_key(*path))
                    .cloned(),
            )
            .collect();
        changed.sort();
        changed
    }
}

fn content(path: &Path, length: u64) -> Option<[u8; 32]> {
    if length > MOST_READ {
        return None;
    }
    Some(Sha256::digest(fs::read(path).ok()?).into())
}

/// Every file that may be a source. What cannot be read is left out: it may just be replaced.
fn walk(folder: &Path, depth: usize, found: &mut impl FnMut(PathBuf, &fs::Metadata)) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let path = entry.path();
        // A link to a folder is not followed, so that the walk ends.
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            if depth < DEEPEST && !NOT_SOURCES.contains(&name.as_ref()) {
                walk(&path, depth + 1, found);
            }
        } else if let Ok(metadata) = fs::metadata(&path)
            && metadata.is_file()
        {
            found(path, &metadata);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn write(path: &Path, text: &str, age: u64) {
        fs::write(path, text).unwrap();
        let time = SystemTime::now() - Duration::from_secs(age);
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(time).unwrap();
    }

    #[test]
    fn only_content_that_differs_counts() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("src")).unwrap();
        fs::create_dir_all(at("target")).unwrap();
        for name in ["src/lib.rs", "plugin.toml", "target/x", ".swp", "lib.rs~"] {
            write(&at(name), "one", 100);
        }
        let first = Sources::look(folder.path(), &Sources::default());
        assert_eq!(first.0.len(), 2, "{first:?}");
        assert_eq!(first.changed(&Sources::default()).len(), 2);

        // What tools and editors leave beside, and a file that is written again as it was.
        for name in ["target/x", ".swp", "lib.rs~"] {
            write(&at(name), "two", 50);
        }
        write(&at("src/lib.rs"), "one", 50);
        let second = Sources::look(folder.path(), &first);
        assert_eq!(second.changed(&first), Vec::<PathBuf>::new());

        write(&at("src/lib.rs"), "two", 40);
        fs::remove_file(at("plugin.toml")).unwrap();
        write(&at("src/new.rs"), "", 40);
        let third = Sources::look(folder.path(), &second);
        assert_eq!(
            third.changed(&second),
            [at("plugin.toml"), at("src/lib.rs"), at("src/new.rs")]
        );
        assert_eq!(
            third.changed(&third.clone()),
            Vec::<PathBuf>::new(),
            "nothing happened"
        );
    }

    #[test]
    fn a_circle_of_links_and_a_folder_that_is_gone_end() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
        write(&folder.path().join("a"), "x", 1);
        let seen = Sources::look(folder.path(), &Sources::default());
        assert_eq!(seen.0.len(), 1);
        let gone = Sources::look(&folder.path().join("nowhere"), &seen);
        assert_eq!(gone.changed(&seen), [folder.path().join("a")]);
    }
}
