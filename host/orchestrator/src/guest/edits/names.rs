//! Edits of what there is, and under which names.

use super::super::content::Content;
use super::super::model::{Model, NodeId};
use super::super::resolve::Place;
use super::attributes::check_mode;
use super::content::check_size;
use super::{LONGEST_NAME, Operation, Recorded, SELINUX};
use cofferdam_contract::types::{Attributes, Error, ErrorCode, FileKind};

impl Model {
    /// The place of something that is to be made: free, in a directory, with a fit name.
    async fn vacant(&mut self, path: &str) -> Result<Place, Error> {
        let place = self.resolve(path, false).await?;
        if place.node.is_some() {
            return Err(Error::new(
                ErrorCode::Exists,
                format!("{} exists already", place.path),
            ));
        }
        check_name(&place.name)?;
        Ok(place)
    }

    fn enter(&mut self, place: &Place, id: NodeId) -> Result<(), Error> {
        let now = self.now();
        let parent = self.node_mut(place.parent)?;
        parent.entries.insert(place.name.clone(), Some(id));
        parent.metadata.modified = now;
        Ok(())
    }

    /// A new inode of `kind` at `path`.
    async fn make(
        &mut self,
        path: &str,
        kind: FileKind,
        attributes: &Attributes,
    ) -> Result<(Place, NodeId), Error> {
        check_mode(attributes.mode)?;
        let place = self.vacant(path).await?;
        let tree = self.node(place.parent)?.tree;
        let id = self.plan_node(tree, kind, attributes.mode);
        let node = self.node_mut(id)?;
        node.metadata.owner = attributes.owner;
        node.metadata.group = attributes.group;
        if let Some(label) = &attributes.label {
            node.xattrs
                .insert(SELINUX.to_owned(), Some(label.clone().into_bytes()));
        }
        self.enter(&place, id)?;
        Ok((place, id))
    }

    pub(crate) async fn edit_create(
        &mut self,
        path: &str,
        bytes: Vec<u8>,
        attributes: Attributes,
    ) -> Result<Option<Recorded>, Error> {
        check_size(&bytes)?;
        let (place, id) = self.make(path, FileKind::Regular, &attributes).await?;
        let after = Content::new(bytes);
        self.set_content(id, after.clone())?;
        self.recorded(place, Operation::Create(attributes), None, Some(after))
    }

    pub(crate) async fn edit_copy(
        &mut self,
        from: &str,
        to: &str,
    ) -> Result<Option<Recorded>, Error> {
        let (source, source_id, content) = self.regular(from).await?;
        let metadata = self.node(source_id)?.metadata;
        let mut xattrs = Vec::new();
        for name in self.xattr_names(source_id).await? {
            let value = self.xattr(source_id, &name).await?;
            xattrs.push((name, value));
        }
        let attributes = Attributes {
            mode: metadata.mode,
            owner: metadata.owner,
            group: metadata.group,
            label: None,
        };
        let (place, id) = self.make(to, FileKind::Regular, &attributes).await?;
        self.set_content(id, content.clone())?;
        self.node_mut(id)?.xattrs = xattrs
            .iter()
            .map(|(name, value)| (name.clone(), Some(value.clone())))
            .collect();
        let operation = Operation::Copy {
            from: source.path,
            attributes,
            xattrs,
        };
        self.recorded(place, operation, None, Some(content))
    }

    pub(crate) async fn edit_make_directory(
        &mut self,
        path: &str,
        attributes: Attributes,
    ) -> Result<Option<Recorded>, Error> {
        let (place, id) = self.make(path, FileKind::Directory, &attributes).await?;
        self.node_mut(id)?.metadata.links = 2;
        self.recorded(place, Operation::MakeDirectory(attributes), None, None)
    }

    pub(crate) async fn edit_symlink(
        &mut self,
        path: &str,
        target: &str,
        attributes: Attributes,
    ) -> Result<Option<Recorded>, Error> {
        if target.is_empty() || target.contains('\0') {
            return Err(Error::invalid(
                "a link's target is neither empty nor holds a NUL",
            ));
        }
        let (place, id) = self.make(path, FileKind::Symlink, &attributes).await?;
        let node = self.node_mut(id)?;
        node.target = Some(target.to_owned());
        node.metadata.size = target.len() as u64;
        let operation = Operation::Symlink {
            target: target.to_owned(),
            attributes,
        };
        self.recorded(place, operation, None, None)
    }

    pub(crate) async fn edit_link(
        &mut self,
        existing: &str,
        path: &str,
    ) -> Result<Option<Recorded>, Error> {
        let source = self.resolve(existing, false).await?;
        let id = source.existing()?;
        let content = self
            .content(id)
            .map_err(|_| Error::invalid(format!("{} is not a regular file", source.path)))?;
        let place = self.vacant(path).await?;
        self.same_tree(id, place.parent, &place.path)?;
        self.enter(&place, id)?;
        let node = self.node_mut(id)?;
        node.metadata.links += 1;
        node.touched = true;
        let operation = Operation::Link {
            existing: source.path,
            existing_tree_path: source.tree_path,
        };
        self.recorded(place, operation, None, Some(content))
    }

    fn same_tree(&self, a: NodeId, b: NodeId, path: &str) -> Result<(), Error> {
        if self.node(a)?.tree == self.node(b)?.tree {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{path} is in another file system; copy the file instead"
        )))
    }

    pub(crate) async fn edit_rename(
        &mut self,
        from: &str,
        to: &str,
    ) -> Result<Option<Recorded>, Error> {
        let source = self.resolve(from, false).await?;
        let id = source.existing()?;
        let target = self.resolve(to, false).await?;
        if target.node == Some(id) {
            return Ok(None);
        }
        if self.is_tree_root(id) {
            return Err(Error::invalid(format!("{} is a mount point", source.path)));
        }
        self.same_tree(id, target.parent, &target.path)?;
        if format!("{}/", target.path).starts_with(&format!("{}/", source.path)) {
            return Err(Error::invalid(format!(
                "{} cannot move into itself",
                source.path
            )));
        }
        if let Some(replaced) = target.node {
            if self.is_directory(replaced) || self.is_directory(id) {
                return Err(Error::new(
                    ErrorCode::Exists,
                    format!("{} exists, and only a file can replace a file", target.path),
                ));
            }
            self.drop_name(replaced)?;
        } else {
            check_name(&target.name)?;
        }
        let content = self.content(id).ok();
        // File systems note a move in the inode, which other names of it show.
        self.node_mut(id)?.touched = true;
        self.node_mut(source.parent)?
            .entries
            .insert(source.name.clone(), None);
        self.enter(&target, id)?;
        self.recorded(
            source,
            Operation::Rename {
                to: target.path,
                to_tree_path: target.tree_path,
            },
            content,
            None,
        )
    }

    fn drop_name(&mut self, id: NodeId) -> Result<(), Error> {
        let node = self.node_mut(id)?;
        node.metadata.links = node.metadata.links.saturating_sub(1);
        node.touched = true;
        Ok(())
    }

    pub(crate) async fn edit_remove(&mut self, path: &str) -> Result<Option<Recorded>, Error> {
        let place = self.resolve(path, false).await?;
        let id = place.existing()?;
        if self.is_tree_root(id) {
            return Err(Error::invalid(format!("{} is a mount point", place.path)));
        }
        if self.is_directory(id) && !self.entries(id).await?.is_empty() {
            return Err(Error::new(
                ErrorCode::Conflict,
                format!("the directory {} is not empty", place.path),
            ));
        }
        let before = self.content(id).ok();
        self.drop_name(id)?;
        let parent = self.node_mut(place.parent)?;
        parent.entries.insert(place.name.clone(), None);
        self.recorded(place, Operation::Remove, before, None)
    }
}

/// Checks that an escaped name (`wit/types`, `files`) is one that a file can have.
fn check_name(name: &str) -> Result<(), Error> {
    match name_length(name) {
        Some(1..=LONGEST_NAME) => Ok(()),
        _ => Err(Error::invalid(format!(
            "{name:?} is not a name of 1 to {LONGEST_NAME} bytes in which a backslash is escaped"
        ))),
    }
}

/// Bytes of an escaped name; none where an escape is not one that the contract writes.
fn name_length(name: &str) -> Option<usize> {
    let mut length = 0;
    let mut rest = name.as_bytes();
    while let [first, after @ ..] = rest {
        length += 1;
        rest = match (first, after) {
            (b'\\', [b'\\', after @ ..]) => after,
            // Bytes below 0x80 are valid UTF-8 and never escaped: `\x2f` is no slash.
            (
                b'\\',
                [
                    b'x',
                    b'8'..=b'9' | b'a'..=b'f',
                    b'0'..=b'9' | b'a'..=b'f',
                    after @ ..,
                ],
            ) => after,
            (b'\\', _) => return None,
            _ => after,
        };
    }
    Some(length)
}
