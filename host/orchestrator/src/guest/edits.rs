//! Recording edits: a fixer's call becomes an [`Edit`] and shows in the [`Model`] at once.

use super::content::Content;
use super::model::{Model, NodeId};
use super::resolve::Place;
use cofferdam_contract::types::{Attributes, Error, ErrorCode, FileKind};

/// Name of the extended attribute that holds an SELinux label.
pub(crate) const SELINUX: &str = "security.selinux";
/// Longest name of a file in bytes, as every Linux file system has it.
const LONGEST_NAME: usize = 255;
/// Most pieces that a file's content may consist of: every edit keeps the content before and
/// after it, so that their number must not follow that of the edits.
const MOST_PIECES: usize = 128;
/// Most bytes that one edit carries: what the contract allows.
const MOST_BYTES: usize = 16 << 20;

/// One edit, as it will be carried out.
#[derive(Debug, Clone)]
pub struct Edit {
    /// Id of the fixer that wants it.
    pub fixer: String,
    /// Why, for the person who approves.
    pub reason: String,
    /// The path in the guest, links resolved.
    pub path: String,
    /// Number of the file system.
    pub tree: u32,
    /// The path in that file system.
    pub tree_path: String,
    /// What is done.
    pub operation: Operation,
    /// The file's content before it; none where there was no regular file.
    pub before: Option<Content>,
    /// The file's content after it; none where there is no regular file.
    pub after: Option<Content>,
}

/// What an edit does.
#[derive(Debug, Clone)]
pub enum Operation {
    /// The content becomes [`Edit::after`].
    Write,
    /// A new file with the content [`Edit::after`].
    Create(Attributes),
    /// Bytes at the end.
    Append {
        /// The size before.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Bytes over others.
    Patch {
        /// Where.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A new file like another, with the content [`Edit::after`].
    Copy {
        /// The other, links resolved.
        from: String,
        /// Mode, owner and group of the other; its label is among `xattrs`.
        attributes: Attributes,
        /// All its extended attributes.
        xattrs: Vec<(String, Vec<u8>)>,
    },
    /// A new directory.
    MakeDirectory(Attributes),
    /// A new name.
    Rename {
        /// The path in the guest.
        to: String,
        /// The path in the same file system.
        to_tree_path: String,
    },
    /// No more.
    Remove,
    /// A new symbolic link.
    Symlink {
        /// Where it leads.
        target: String,
        /// Of the link itself.
        attributes: Attributes,
    },
    /// One more name for a file.
    Link {
        /// A name that it has.
        existing: String,
        /// The same in its file system.
        existing_tree_path: String,
    },
    /// Mode, owner and group become these.
    SetAttributes {
        /// Permission bits.
        mode: u32,
        /// User id.
        owner: u32,
        /// Group id.
        group: u32,
    },
    /// An extended attribute becomes this; none removes it.
    SetXattr {
        /// Its name.
        name: String,
        /// Its value.
        value: Option<Vec<u8>>,
    },
}

impl Operation {
    /// One word or two, as the contract names it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Create(_) => "create",
            Self::Append { .. } => "append",
            Self::Patch { .. } => "patch",
            Self::Copy { .. } => "copy",
            Self::MakeDirectory(_) => "make-directory",
            Self::Rename { .. } => "rename",
            Self::Remove => "remove",
            Self::Symlink { .. } => "symlink",
            Self::Link { .. } => "link",
            Self::SetAttributes { .. } => "set-attributes",
            Self::SetXattr { .. } => "set-xattr",
        }
    }

    /// What [`Operation::name`] and the path do not say, for people; empty where nothing.
    pub fn detail(&self) -> String {
        match self {
            Self::Write | Self::Remove => String::new(),
            Self::Create(attributes) | Self::MakeDirectory(attributes) => shown(attributes),
            Self::Append { bytes, .. } => format!("{} bytes", bytes.len()),
            Self::Patch { offset, bytes } => format!("{} bytes at {offset}", bytes.len()),
            Self::Copy { from, .. } => format!("from {from}"),
            Self::Rename { to, .. } => format!("to {to}"),
            Self::Symlink { target, .. } => format!("to {target}"),
            Self::Link { existing, .. } => format!("of {existing}"),
            Self::SetAttributes { mode, owner, group } => {
                format!("mode {mode:04o}, owner {owner}, group {group}")
            }
            Self::SetXattr { name, value } => match value {
                Some(value) => format!("{name}, {} bytes", value.len()),
                None => format!("{name} removed"),
            },
        }
    }
}

fn shown(attributes: &Attributes) -> String {
    let label = attributes
        .label
        .as_ref()
        .map_or_else(String::new, |label| format!(", label {label}"));
    format!(
        "mode {:04o}, owner {}, group {}{label}",
        attributes.mode, attributes.owner, attributes.group
    )
}

impl std::fmt::Display for Edit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.operation.name(), self.path)?;
        let detail = self.operation.detail();
        if !detail.is_empty() {
            write!(f, " ({detail})")?;
        }
        write!(f, ", wanted by {}", self.fixer)
    }
}

/// An edit before it has an author.
pub(crate) struct Recorded {
    pub place: Place,
    pub tree: u32,
    pub operation: Operation,
    pub before: Option<Content>,
    pub after: Option<Content>,
}

impl Model {
    fn recorded(
        &self,
        place: Place,
        operation: Operation,
        before: Option<Content>,
        after: Option<Content>,
    ) -> Result<Option<Recorded>, Error> {
        let tree = self.node(place.node.unwrap_or(place.parent))?.tree;
        Ok(Some(Recorded {
            place,
            tree,
            operation,
            before,
            after,
        }))
    }

    fn set_content(&mut self, id: NodeId, content: Content) -> Result<(), Error> {
        let now = self.now();
        let node = self.node_mut(id)?;
        node.metadata.size = content.len();
        node.metadata.modified = now;
        node.content = Some(content);
        node.touched = true;
        Ok(())
    }

    async fn regular(&mut self, path: &str) -> Result<(Place, NodeId, Content), Error> {
        let place = self.resolve(path, true).await?;
        let id = place.existing()?;
        let content = self.content(id).map_err(|error| {
            Error::new(error.code, format!("{}: {}", place.path, error.message))
        })?;
        Ok((place, id, content))
    }

    pub(crate) async fn edit_write(
        &mut self,
        path: &str,
        bytes: Vec<u8>,
    ) -> Result<Option<Recorded>, Error> {
        check_size(&bytes)?;
        let (place, id, before) = self.regular(path).await?;
        if before.len() == bytes.len() as u64 && self.read(&before, 0, before.len()).await? == bytes
        {
            return Ok(None);
        }
        let after = Content::new(bytes);
        self.set_content(id, after.clone())?;
        self.recorded(place, Operation::Write, Some(before), Some(after))
    }

    pub(crate) async fn edit_append(
        &mut self,
        path: &str,
        bytes: Vec<u8>,
    ) -> Result<Option<Recorded>, Error> {
        check_size(&bytes)?;
        let (place, id, before) = self.regular(path).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let after = before.appended(bytes.clone());
        check_pieces(&place.path, &after)?;
        self.set_content(id, after.clone())?;
        let offset = before.len();
        self.recorded(
            place,
            Operation::Append { offset, bytes },
            Some(before),
            Some(after),
        )
    }

    pub(crate) async fn edit_patch(
        &mut self,
        path: &str,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Result<Option<Recorded>, Error> {
        check_size(&bytes)?;
        let (place, id, before) = self.regular(path).await?;
        let inside = offset
            .checked_add(bytes.len() as u64)
            .is_some_and(|end| end <= before.len());
        if !inside {
            return Err(Error::invalid(format!(
                "{} has {} bytes; the patch of {} bytes at {offset} goes beyond",
                place.path,
                before.len(),
                bytes.len()
            )));
        }
        if self.read(&before, offset, bytes.len() as u64).await? == bytes {
            return Ok(None);
        }
        let after = before.patched(offset, bytes.clone());
        check_pieces(&place.path, &after)?;
        self.set_content(id, after.clone())?;
        self.recorded(
            place,
            Operation::Patch { offset, bytes },
            Some(before),
            Some(after),
        )
    }

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

    pub(crate) async fn edit_attributes(
        &mut self,
        path: &str,
        mode: Option<u32>,
        owner: Option<(u32, u32)>,
    ) -> Result<Option<Recorded>, Error> {
        if let Some(mode) = mode {
            check_mode(mode)?;
        }
        let place = self.resolve(path, false).await?;
        let id = place.existing()?;
        let metadata = &mut self.node_mut(id)?.metadata;
        let old = (metadata.mode, metadata.owner, metadata.group);
        let (owner, group) = owner.unwrap_or((metadata.owner, metadata.group));
        let mode = mode.unwrap_or(metadata.mode);
        if old == (mode, owner, group) {
            return Ok(None);
        }
        if metadata.kind == FileKind::Symlink && mode != metadata.mode {
            return Err(Error::invalid(format!(
                "{} is a symbolic link, which has no mode of its own",
                place.path
            )));
        }
        (metadata.mode, metadata.owner, metadata.group) = (mode, owner, group);
        self.node_mut(id)?.touched = true;
        let content = self.content(id).ok();
        self.recorded(
            place,
            Operation::SetAttributes { mode, owner, group },
            content.clone(),
            content,
        )
    }

    pub(crate) async fn edit_xattr(
        &mut self,
        path: &str,
        name: &str,
        value: Option<Vec<u8>>,
    ) -> Result<Option<Recorded>, Error> {
        if name.is_empty() || name.len() > LONGEST_NAME || !name.contains('.') {
            return Err(Error::invalid(format!(
                "{name:?} is not the name of an extended attribute (namespace.name)"
            )));
        }
        let place = self.resolve(path, false).await?;
        let id = place.existing()?;
        let old = match self.xattr(id, name).await {
            Ok(old) => Some(old),
            Err(error) if error.code == ErrorCode::NotFound => None,
            Err(error) => return Err(error),
        };
        if old == value {
            return Ok(None);
        }
        let node = self.node_mut(id)?;
        node.xattrs.insert(name.to_owned(), value.clone());
        node.touched = true;
        let content = self.content(id).ok();
        self.recorded(
            place,
            Operation::SetXattr {
                name: name.to_owned(),
                value,
            },
            content.clone(),
            content,
        )
    }
}

fn check_size(bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > MOST_BYTES {
        return Err(Error::new(
            ErrorCode::Limit,
            format!(
                "{} bytes are more than the 16 MiB that one edit carries",
                bytes.len()
            ),
        ));
    }
    Ok(())
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

fn check_pieces(path: &str, content: &Content) -> Result<(), Error> {
    if content.pieces() > MOST_PIECES {
        return Err(Error::new(
            ErrorCode::Limit,
            format!("{path} is edited in more than {MOST_PIECES} pieces"),
        )
        .with_hint("write the file once instead of appending and patching bit by bit"));
    }
    Ok(())
}

fn check_mode(mode: u32) -> Result<(), Error> {
    if mode > 0o7777 {
        return Err(Error::invalid(format!(
            "{mode:o} is not a mode of permission bits (0 to 7777)"
        )));
    }
    Ok(())
}
