//! Recorded edits and notes, in the form that `expected.json` has.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use similar::TextDiff;

use crate::types::{Attributes, Severity};

/// Bytes as a test compares them: length and digest say exactly what they are, the diff
/// says it to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Content {
    /// Number of bytes.
    pub length: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// A unified diff against what was there, a line each; absent where either side is
    /// not text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<Vec<String>>,
}

impl Content {
    /// Describes `new` where `old` was (empty for a new file).
    pub fn new(old: &[u8], new: &[u8]) -> Self {
        let digest = Sha256::digest(new);
        Self {
            length: new.len() as u64,
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            diff: text(old).zip(text(new)).map(|(old, new)| diff(old, new)),
        }
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.contains('\0')).then_some(text)
}

fn diff(old: &str, new: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(old, new);
    let unified = diff.unified_diff().context_radius(1).to_string();
    let lines = unified.strip_suffix('\n').unwrap_or(&unified);
    match lines {
        "" => Vec::new(),
        lines => lines.split('\n').map(str::to_string).collect(),
    }
}

/// One edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "the fields are the arguments of the contract's edits"
)]
pub enum Edit {
    /// Replaces a file's content.
    Write {
        path: String,
        reason: String,
        content: Content,
    },
    /// A new file.
    Create {
        path: String,
        reason: String,
        attributes: Attributes,
        content: Content,
    },
    /// Adds to the end.
    Append {
        path: String,
        reason: String,
        content: Content,
    },
    /// Overwrites bytes.
    Patch {
        path: String,
        reason: String,
        offset: u64,
        content: Content,
    },
    /// A new file like another.
    Copy {
        from: String,
        path: String,
        reason: String,
    },
    /// A new directory.
    MakeDirectory {
        path: String,
        reason: String,
        attributes: Attributes,
    },
    /// A new name.
    Rename {
        from: String,
        path: String,
        reason: String,
    },
    /// Removes.
    Remove { path: String, reason: String },
    /// A new symbolic link.
    Symlink {
        path: String,
        reason: String,
        target: String,
        attributes: Attributes,
    },
    /// One more name.
    Link {
        existing: String,
        path: String,
        reason: String,
    },
    /// Permission bits.
    SetMode {
        path: String,
        reason: String,
        #[serde(with = "crate::types::octal")]
        mode: u32,
    },
    /// Owner and group.
    SetOwner {
        path: String,
        reason: String,
        owner: u32,
        group: u32,
    },
    /// An extended attribute; none removes it.
    SetXattr {
        path: String,
        reason: String,
        name: String,
        value: Option<Content>,
    },
}

impl Edit {
    /// The path that changes.
    pub fn path(&self) -> &str {
        match self {
            Self::Write { path, .. }
            | Self::Create { path, .. }
            | Self::Append { path, .. }
            | Self::Patch { path, .. }
            | Self::Copy { path, .. }
            | Self::MakeDirectory { path, .. }
            | Self::Rename { path, .. }
            | Self::Remove { path, .. }
            | Self::Symlink { path, .. }
            | Self::Link { path, .. }
            | Self::SetMode { path, .. }
            | Self::SetOwner { path, .. }
            | Self::SetXattr { path, .. } => path,
        }
    }
}

/// One note for the person who approves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// How much it matters.
    pub severity: Severity,
    /// What it says.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_line_ends_and_a_missing_one() {
        let content = Content::new(b"a\r\nb\nc", b"a\r\nB\nc\n");
        assert_eq!(
            content.diff.unwrap(),
            [
                "@@ -1,3 +1,3 @@",
                " a\r",
                "-b",
                "-c",
                "\\ No newline at end of file",
                "+B",
                "+c"
            ]
        );
        assert_eq!(content.length, 7);
    }

    #[test]
    fn binary_content_has_its_digest_alone() {
        let content = Content::new(b"", b"abc\0");
        assert_eq!(content.diff, None);
        assert_eq!(
            Content::new(b"", b"abc").sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
