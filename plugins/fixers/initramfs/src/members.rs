//! What the kernel would have in its RAM file system after unpacking: a map of names.
//!
//! Later members replace earlier ones, and names go through symbolic links as the kernel's
//! do, so that `lib/modules/…` of one segment and `usr/lib/modules/…` of another are the
//! same file where `lib` is a link.

use std::collections::{BTreeMap, HashMap};

use crate::newc::{DIRECTORY, Member, REGULAR, SYMLINK, TYPE_MASK};

/// `MAXSYMLINKS` of the kernel.
const LINKS: usize = 40;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link and its target.
    Link(String),
    /// A device node, socket or pipe.
    Other,
}

/// See the module. Names have no leading or trailing slash.
#[derive(Debug, Default)]
pub struct Members {
    nodes: BTreeMap<String, Node>,
    contents: HashMap<String, Vec<u8>>,
    weight: usize,
}

impl Members {
    /// Adds a member, replacing what had its name.
    pub fn add(&mut self, member: Member) {
        let Some(name) = self.place_of(&member.name) else {
            return;
        };
        let node = match member.mode & TYPE_MASK {
            DIRECTORY => Node::Directory,
            REGULAR => Node::File,
            SYMLINK => Node::Link(
                String::from_utf8_lossy(member.content.as_deref().unwrap_or_default())
                    .trim_end_matches('\0')
                    .to_owned(),
            ),
            _ => Node::Other,
        };
        match (&node, member.content) {
            (Node::File, Some(content)) => {
                self.weight += content.len();
                self.contents.insert(name.clone(), content);
            }
            _ => {
                self.contents.remove(&name);
            }
        }
        self.weight += name.len() + 64;
        self.nodes.insert(name, node);
    }

    /// About how many bytes of memory the names and kept contents take.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// What a name is, links in the middle followed; none where it is not there.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.nodes.get(&self.place_of(name)?)
    }

    /// Content of a regular file, where it was kept.
    pub fn content(&self, name: &str) -> Option<&[u8]> {
        self.contents.get(&self.resolve(name)?).map(Vec::as_slice)
    }

    /// Names under a folder (its path after resolving) with what they are, sorted, the
    /// folder's own path cut off.
    pub fn under<'a>(&'a self, folder: &str) -> impl Iterator<Item = (&'a str, &'a Node)> {
        let prefix = format!("{folder}/");
        self.nodes
            .range(prefix.clone()..)
            .map_while(move |(name, node)| Some((name.strip_prefix(&prefix)?, node)))
    }

    /// Where a path leads, every link followed; none for a loop of links.
    /// What is not there leads where its name says.
    pub fn resolve(&self, path: &str) -> Option<String> {
        let mut place: Vec<String> = Vec::new();
        let mut rest: Vec<String> = components(path).rev().map(str::to_owned).collect();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == ".." {
                place.pop();
                continue;
            }
            place.push(part);
            if let Some(Node::Link(target)) = self.nodes.get(&place.join("/")) {
                links += 1;
                if links > LINKS {
                    return None;
                }
                if target.starts_with('/') {
                    place.clear();
                } else {
                    place.pop();
                }
                rest.extend(components(target).rev().map(str::to_owned));
            }
        }
        Some(place.join("/"))
    }

    /// Where a member of this name would be put: links in the middle followed, one at the
    /// end not. None for the root itself.
    fn place_of(&self, name: &str) -> Option<String> {
        let mut parts: Vec<&str> = components(name).collect();
        let last = parts.pop()?;
        let folder = self.resolve(&parts.join("/"))?;
        Some(if folder.is_empty() {
            last.to_owned()
        } else {
            format!("{folder}/{last}")
        })
    }
}

fn components(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, mode: u32, content: &str) -> Member {
        Member {
            name: name.to_owned(),
            mode,
            content: Some(content.into()),
        }
    }

    #[test]
    fn names_meet_through_links_and_later_ones_win() {
        let mut members = Members::default();
        members.add(member(".", DIRECTORY, ""));
        members.add(member("usr/lib/modules/6.1", DIRECTORY, ""));
        members.add(member("./lib", SYMLINK, "usr/lib"));
        members.add(member("lib/modules/6.1/a.ko", REGULAR, "one"));
        members.add(member("/usr/lib/modules/6.1/a.ko", REGULAR, "two"));
        let found: Vec<&str> = members
            .under("usr/lib/modules/6.1")
            .map(|(n, _)| n)
            .collect();
        assert_eq!(found, ["a.ko"]);
        assert_eq!(members.content("lib/modules/6.1/a.ko"), Some(&b"two"[..]));
        assert_eq!(
            members.resolve("lib/modules").as_deref(),
            Some("usr/lib/modules")
        );
        assert_eq!(members.get("lib"), Some(&Node::Link("usr/lib".to_owned())));
    }

    #[test]
    fn loops_of_links_end() {
        let mut members = Members::default();
        members.add(member("a", SYMLINK, "b"));
        members.add(member("b", SYMLINK, "a"));
        assert_eq!(members.resolve("a/x"), None);
        assert_eq!(members.resolve("../../c").as_deref(), Some("c"));
    }
}
