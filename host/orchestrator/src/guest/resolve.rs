//! Walking paths through the guest.
//!
//! Links are followed inside the guest: an absolute target starts at the guest's root,
//! `..` at the root stays there. So nothing that a guest holds leads outside it.

use super::model::{Model, NodeId, join};
use cofferdam_contract::types::{Error, FileKind};

/// As Linux: `MAXSYMLINKS` in `include/linux/namei.h`.
const MOST_LINKS: u32 = 40;
/// As Linux: `PATH_MAX` in `include/uapi/linux/limits.h`.
const LONGEST_PATH: usize = 4096;

/// Where a path leads.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The directory that holds the last name; of `/`, the root itself.
    pub parent: NodeId,
    /// The last name; empty for `/`.
    pub name: String,
    /// What is there; none when the directory has no such name.
    pub node: Option<NodeId>,
    /// The path in the guest with all links resolved.
    pub path: String,
    /// The path in the parent's file system, as a session of it knows it.
    pub tree_path: String,
}

impl Place {
    /// What is there.
    ///
    /// # Errors
    /// `not-found`.
    pub fn existing(&self) -> Result<NodeId, Error> {
        self.node
            .ok_or_else(|| Error::not_found(format!("{} does not exist", self.path)))
    }
}

impl Model {
    /// Resolves an absolute path. A link at its end is followed where `follow` says so; a
    /// missing last name is a [`Place`] without node, a missing one before it an error.
    pub(crate) async fn resolve(&mut self, path: &str, follow: bool) -> Result<Place, Error> {
        let start = self.root();
        self.resolve_from(start, path, follow).await
    }

    /// As [`Model::resolve`], with `start` for root.
    pub(crate) async fn resolve_from(
        &mut self,
        start: NodeId,
        path: &str,
        follow: bool,
    ) -> Result<Place, Error> {
        if !path.starts_with('/') {
            return Err(Error::invalid(format!("{path:?} is not an absolute path")));
        }
        if path.len() > LONGEST_PATH || path.contains('\0') {
            return Err(Error::invalid(
                "the path is longer than 4096 bytes or holds a NUL",
            ));
        }
        let mut ahead = components(path);
        let mut behind: Vec<(String, NodeId)> = Vec::new();
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            let directory = behind.last().map_or(start, |(_, id)| *id);
            if name == ".." && self.is_directory(directory) {
                behind.pop();
                continue;
            }
            if !self.is_directory(directory) {
                return Err(Error::not_found(format!(
                    "{} is not a directory",
                    path_of(&behind)
                )));
            }
            let Some(child) = self.child(directory, &name).await? else {
                if ahead.is_empty() {
                    return Ok(self.place(&behind, directory, name, None));
                }
                return Err(Error::not_found(format!(
                    "{} does not exist",
                    join(&path_of(&behind), &name)
                )));
            };
            let is_link = self.node(child)?.metadata.kind == FileKind::Symlink;
            if is_link && (follow || !ahead.is_empty()) {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Error::invalid(format!(
                        "{path} leads through more than {MOST_LINKS} symbolic links"
                    )));
                }
                let target = self.target(child).await?;
                if target.len() > LONGEST_PATH {
                    return Err(Error::invalid(format!(
                        "{path} leads through a link whose target is longer than {LONGEST_PATH} bytes"
                    )));
                }
                if target.starts_with('/') {
                    behind.clear();
                }
                ahead.extend(components(&target));
                continue;
            }
            if ahead.is_empty() {
                return Ok(self.place(&behind, directory, name, Some(child)));
            }
            behind.push((name, child));
        }
        // The path ended in `..`, in `/`, or in a link to one of them.
        let Some((name, node)) = behind.pop() else {
            return Ok(Place {
                parent: start,
                name: String::new(),
                node: Some(start),
                path: "/".to_owned(),
                tree_path: "/".to_owned(),
            });
        };
        let parent = behind.last().map_or(start, |(_, id)| *id);
        Ok(self.place(&behind, parent, name, Some(node)))
    }

    fn place(
        &self,
        behind: &[(String, NodeId)],
        parent: NodeId,
        name: String,
        node: Option<NodeId>,
    ) -> Place {
        let path = join(&path_of(behind), &name);
        let tree_path = if node.is_some_and(|node| self.is_tree_root(node)) {
            "/".to_owned()
        } else {
            let inside = behind
                .iter()
                .rposition(|(_, id)| self.is_tree_root(*id))
                .map_or(0, |at| at + 1);
            join(&path_of(behind.get(inside..).unwrap_or_default()), &name)
        };
        Place {
            parent,
            name,
            node,
            path,
            tree_path,
        }
    }
}

/// The components of a path, last first.
fn components(path: &str) -> Vec<String> {
    path.split('/')
        .rev()
        .filter(|name| !name.is_empty() && *name != ".")
        .map(str::to_owned)
        .collect()
}

fn path_of(behind: &[(String, NodeId)]) -> String {
    if behind.is_empty() {
        return "/".to_owned();
    }
    behind
        .iter()
        .flat_map(|(name, _)| ["/", name.as_str()])
        .collect()
}
