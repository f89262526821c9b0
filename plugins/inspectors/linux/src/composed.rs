//! The trees as one, so that a path that leads from one mount into another (`/lib` to
//! `usr/lib` where /usr is its own file system) is found. A path that cannot be followed, be
//! it through a file or in a circle, leads to nothing: `not-found`.

use std::collections::VecDeque;

use cofferdam_sdk::types::Page;
use cofferdam_sdk::{Error, FileKind, FileTree, Metadata, Result, Trees, path};

/// How many links one path may follow (Linux's `MAXSYMLINKS`).
const LINKS: usize = 40;

/// The root's tree with others mounted in it.
pub struct Composed<'a> {
    guest: &'a dyn Trees,
    /// Path and tree; `/` among them.
    mounts: Vec<(String, u32)>,
}

impl<'a> Composed<'a> {
    /// Trees by where they are mounted.
    pub fn new(guest: &'a dyn Trees, mounts: Vec<(String, u32)>) -> Self {
        Self { guest, mounts }
    }

    /// Which tree holds a path without links, and the path in it.
    fn locate(&self, path: &str) -> Result<(u32, String)> {
        let inside = |at: &str| -> Option<String> {
            if at == "/" {
                return Some(path.to_owned());
            }
            match path.strip_prefix(at)? {
                "" => Some("/".to_owned()),
                rest => rest.starts_with('/').then(|| rest.to_owned()),
            }
        };
        self.mounts
            .iter()
            .filter_map(|(at, tree)| Some((at.len(), *tree, inside(at)?)))
            .max_by_key(|(length, _, _)| *length)
            .map(|(_, tree, inside)| (tree, inside))
            .ok_or_else(|| Error::not_found(format!("no file system is mounted for {path}")))
    }

    /// The path without links; one at its end stays where not `follow`.
    fn resolve(&self, path: &str, follow: bool) -> Result<String> {
        let mut waiting: VecDeque<String> = components(path);
        let mut at = String::from("/");
        let mut links = 0;
        while let Some(name) = waiting.pop_front() {
            if name == ".." {
                at = path::parent(&at).to_owned();
                continue;
            }
            let next = path::join(&at, &name);
            let (tree, inside) = self.locate(&next)?;
            let kind = self.guest.stat(tree, &inside, false)?.kind;
            if !matches!(kind, FileKind::Directory | FileKind::Symlink) && !waiting.is_empty() {
                return Err(Error::not_found(format!("{next} is no directory")));
            }
            if kind != FileKind::Symlink || (waiting.is_empty() && !follow) {
                at = next;
                continue;
            }
            links += 1;
            if links > LINKS {
                return Err(Error::not_found(format!(
                    "{path} goes through more than {LINKS} links"
                )));
            }
            let target = self.guest.read_link(tree, &inside)?;
            if target.starts_with('/') {
                at = String::from("/");
            }
            for component in components(&target).into_iter().rev() {
                waiting.push_front(component);
            }
        }
        Ok(at)
    }

    fn find(&self, path: &str, follow: bool) -> Result<(u32, String)> {
        self.locate(&self.resolve(path, follow)?)
    }
}

fn components(path: &str) -> VecDeque<String> {
    path.split('/')
        .filter(|name| !matches!(*name, "" | "."))
        .map(str::to_owned)
        .collect()
}

impl FileTree for Composed<'_> {
    fn stat(&self, path: &str, follow: bool) -> Result<Metadata> {
        let (tree, inside) = self.find(path, follow)?;
        self.guest.stat(tree, &inside, false)
    }

    fn list_directory(&self, path: &str, cursor: &str, limit: u32) -> Result<Page> {
        let (tree, inside) = self.find(path, true)?;
        self.guest.list_directory(tree, &inside, cursor, limit)
    }

    fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>> {
        let (tree, inside) = self.find(path, true)?;
        self.guest.read_at(tree, &inside, offset, length)
    }

    fn read_link(&self, path: &str) -> Result<String> {
        let (tree, inside) = self.find(path, false)?;
        self.guest.read_link(tree, &inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_sdk::ErrorCode;
    use cofferdam_sdk::testing::{MemoryFiles, MemoryTrees};

    #[test]
    fn links_lead_across_mounts_and_never_out() {
        let mut memory = MemoryTrees::new();
        let mut root = MemoryFiles::new();
        root.add_symlink("/lib", "usr/lib")
            .add_symlink("/etc/os-release", "../usr/lib/os-release")
            .add_symlink("/up", "../../../etc/motd")
            .add_symlink("/loop", "loop")
            .add_file("/etc/motd", b"hello")
            .add_directory("/usr")
            .add_file("/usrlocal", b"x");
        memory.add_tree(0, "ext4", root);
        let mut usr = MemoryFiles::new();
        usr.add_file("/lib/os-release", b"ID=x");
        usr.add_symlink("/back", "/etc/motd");
        memory.add_tree(1, "ext4", usr);
        let view = Composed::new(&memory, vec![("/".into(), 0), ("/usr".into(), 1)]);

        for (path, content) in [
            ("/etc/os-release", "ID=x"),
            ("/lib/os-release", "ID=x"),
            ("/usr/back", "hello"),
            ("/up", "hello"),
            ("/usrlocal", "x"),
        ] {
            assert_eq!(view.read_to_string(path, 100).unwrap(), content, "{path}");
        }
        assert!(view.is_directory("/lib").unwrap());
        assert_eq!(view.read_link("/lib").unwrap(), "usr/lib");
        assert_eq!(
            view.stat("/loop", true).unwrap_err().code,
            ErrorCode::NotFound
        );
        assert!(!view.exists("/lib/nothing/at/all").unwrap());
        assert!(!view.exists("/etc/motd/below").unwrap());
        assert!(!view.exists("/loop/below").unwrap());
    }
}
