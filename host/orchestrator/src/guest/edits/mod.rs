//! Recording edits: a fixer's call becomes an [`Edit`] and shows in the [`Model`] at once.
//! There is a module for edits of content, of names and of attributes.

mod attributes;
mod content;
mod names;

use super::content::{Content, NewBytes};
use super::model::Model;
use super::resolve::Place;
use cofferdam_contract::types::{Attributes, Error};

/// Name of the extended attribute that holds an SELinux label.
pub(crate) const SELINUX: &str = "security.selinux";

/// Longest name of a file or attribute in bytes, as every Linux file system has it.
const LONGEST_NAME: usize = 255;

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
        bytes: NewBytes,
    },
    /// Bytes over others.
    Patch {
        /// Where.
        offset: u64,
        /// The bytes.
        bytes: NewBytes,
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
}
