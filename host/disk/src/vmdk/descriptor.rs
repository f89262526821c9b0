//! The VMDK descriptor: lines of text that say what a disk is made of.
//!
//! Source: VMware's "Virtual Disk Format 5.0" technical note, section "The Text Descriptor".
//! Real files add to it: CRLF line ends, padding with NULs up to a sector (QEMU, and every
//! descriptor embedded in a sparse file), blanks around `=`, extent lines with a trailing
//! offset and ZERO extents without a file.
//!
//! A line that is none of comment, setting and extent is an error: an extent line that is
//! skipped because it was not understood is lost data.

use std::fmt;

/// Descriptors are a few hundred bytes to a few kilobytes; more is not read.
pub const MAX_DESCRIPTOR: u64 = 1 << 20;

/// A 64 TiB disk in pieces of 2 GiB would have 32,768; hosted products stop at 2 TiB.
const MAX_EXTENTS: usize = 2048;

/// A parsed descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Descriptor {
    /// `createType`, such as `monolithicFlat`. Empty if absent.
    pub create_type: String,
    /// The parent of a snapshot: its file name hint, or its content id if there is none.
    pub parent: Option<String>,
    /// The extents in the order of the disk.
    pub extents: Vec<ExtentLine>,
}

/// What an extent line says is stored, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtentSource {
    /// Raw bytes of a file from byte `offset` on.
    Flat {
        /// File name as written.
        file: String,
        /// In bytes.
        offset: u64,
    },
    /// A sparse file with tables of its own.
    Sparse {
        /// File name as written.
        file: String,
    },
    /// Zeros.
    Zero,
    /// A type that is not read, by its name.
    Other(String),
}

/// One extent line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtentLine {
    /// Byte offset of the line in the descriptor.
    pub at: u64,
    /// Length in bytes.
    pub length: u64,
    /// What is there.
    pub source: ExtentSource,
}

/// Why a descriptor is not one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescriptorError {
    /// Byte offset of the line in the descriptor.
    pub at: u64,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for DescriptorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.at, self.what)
    }
}

/// Whether bytes are the beginning of a descriptor file: the usual first line, or comments
/// and then a `version=` setting.
#[must_use]
pub fn is_descriptor(head: &[u8]) -> bool {
    let text = text_part(head);
    for line in text.split(|byte| *byte == b'\n').take(64) {
        let line = line.trim_ascii();
        if line.eq_ignore_ascii_case(b"# Disk DescriptorFile") {
            return true;
        }
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        return line
            .split(|byte| *byte == b'=')
            .next()
            .is_some_and(|key| key.trim_ascii().eq_ignore_ascii_case(b"version"))
            && line.contains(&b'=');
    }
    false
}

/// What comes before the NUL padding.
fn text_part(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

impl Descriptor {
    /// Parses a descriptor; what follows the first NUL is padding.
    ///
    /// # Errors
    /// The first line that is not understood.
    pub fn parse(bytes: &[u8]) -> Result<Self, DescriptorError> {
        let mut descriptor = Self::default();
        let mut parent_id = None;
        let mut hint = None;
        let mut at = 0u64;
        for line in text_part(bytes).split(|byte| *byte == b'\n') {
            let fail = |what: String| DescriptorError { at, what };
            let text = std::str::from_utf8(line)
                .map_err(|_| fail("a line that is not UTF-8".to_owned()))?
                .trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{feff}');
            if text.is_empty() || text.starts_with('#') {
                // Nothing to see.
            } else if let Some((access, rest)) = access_word(text) {
                if descriptor.extents.len() >= MAX_EXTENTS {
                    return Err(fail(format!("more than {MAX_EXTENTS} extents")));
                }
                let (length, source) = parse_extent(access, rest).map_err(fail)?;
                descriptor.extents.push(ExtentLine { at, length, source });
            } else if let Some((key, value)) = text.split_once('=') {
                let value = value.trim();
                let value = value
                    .strip_prefix('"')
                    .and_then(|value| value.strip_suffix('"'))
                    .unwrap_or(value);
                match key.trim().to_ascii_lowercase().as_str() {
                    "version" if !matches!(value, "1" | "2" | "3" | "4") => {
                        return Err(fail(format!("descriptor version {value:?}")));
                    }
                    "createtype" => descriptor.create_type = value.to_owned(),
                    "parentcid" => parent_id = Some(value.to_owned()),
                    "parentfilenamehint" => hint = Some(value.to_owned()),
                    _ => {}
                }
            } else {
                return Err(fail(format!("{text:?} is neither a setting nor an extent")));
            }
            at = at.saturating_add(line.len() as u64).saturating_add(1);
        }
        let no_parent = parent_id
            .as_deref()
            .is_none_or(|id| id.eq_ignore_ascii_case("ffffffff"));
        descriptor.parent = match (no_parent, hint) {
            (true, hint) => hint.filter(|hint| !hint.is_empty()),
            (false, Some(hint)) => Some(hint),
            (false, None) => parent_id.map(|id| format!("(content id {id})")),
        };
        Ok(descriptor)
    }

    /// Sum of all extents in bytes; `None` if that is no 64-bit number.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.extents
            .iter()
            .try_fold(0u64, |sum, extent| sum.checked_add(extent.length))
    }
}

/// Splits off the access word that begins every extent line, and only those.
fn access_word(line: &str) -> Option<(&str, &str)> {
    let (word, rest) = line.split_once(|c: char| c.is_ascii_whitespace())?;
    // `RW = 1` would be a setting.
    let rest = rest.trim_start();
    (matches!(word, "RW" | "RDONLY" | "NOACCESS") && !rest.starts_with('=')).then_some((word, rest))
}

/// Parses what follows the access word: sectors, type, then as the type needs it a quoted
/// file name and an offset in sectors.
fn parse_extent(access: &str, rest: &str) -> Result<(u64, ExtentSource), String> {
    let (sectors, rest) = word(rest);
    let length = sectors
        .parse::<u64>()
        .ok()
        .and_then(|sectors| sectors.checked_mul(512))
        .filter(|length| *length > 0)
        .ok_or_else(|| format!("{sectors:?} is not the length of an extent"))?;
    let (kind, rest) = word(rest);
    let (name, rest) = match rest.strip_prefix('"') {
        Some(rest) => rest
            .split_once('"')
            .map(|(name, rest)| (Some(name), rest.trim()))
            .ok_or("the file name of an extent has no closing quote")?,
        None => (None, rest),
    };
    let file = || {
        name.map(str::to_owned)
            .ok_or_else(|| format!("a {kind} extent without a file name in quotes"))
    };
    if access == "NOACCESS" && kind != "ZERO" {
        return Ok((length, ExtentSource::Other(format!("NOACCESS {kind}"))));
    }
    let source = match kind {
        "ZERO" => ExtentSource::Zero,
        "FLAT" | "VMFS" => ExtentSource::Flat {
            file: file()?,
            offset: offset(rest)?,
        },
        "SPARSE" => ExtentSource::Sparse { file: file()? },
        "VMFSSPARSE" | "VMFSRDM" | "VMFSRAW" | "SESPARSE" => ExtentSource::Other(kind.to_owned()),
        _ => return Err(format!("{kind:?} is not a type of extent")),
    };
    Ok((length, source))
}

/// The offset at the end of a line, given in sectors, in bytes. Absent means 0; what some
/// products write behind it is no concern of ours.
fn offset(rest: &str) -> Result<u64, String> {
    match word(rest).0 {
        "" => Ok(0),
        digits => digits
            .parse::<u64>()
            .ok()
            .and_then(|sectors| sectors.checked_mul(512))
            .ok_or_else(|| format!("{digits:?} is not the offset of an extent")),
    }
}

/// The first word and the rest, without the blanks between.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    match text.split_once(|c: char| c.is_ascii_whitespace()) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(file: &str, offset: u64) -> ExtentSource {
        ExtentSource::Flat {
            file: file.to_owned(),
            offset,
        }
    }

    #[test]
    fn every_form_of_extent_line_is_understood() {
        for (line, length, source) in [
            ("RW 100 FLAT \"a-flat.vmdk\" 0", 100, flat("a-flat.vmdk", 0)),
            (
                "RW 100 FLAT \"a-flat.vmdk\" 8",
                100,
                flat("a-flat.vmdk", 8 * 512),
            ),
            ("RW  7\tVMFS  \"a b.vmdk\"", 7, flat("a b.vmdk", 0)),
            (
                "RDONLY 7 FLAT \"äö-f001.vmdk\"   3  ",
                7,
                flat("äö-f001.vmdk", 3 * 512),
            ),
            ("RW 9 ZERO", 9, ExtentSource::Zero),
            ("NOACCESS 9 ZERO", 9, ExtentSource::Zero),
            (
                "RW 1 SPARSE \"s\"",
                1,
                ExtentSource::Sparse { file: "s".into() },
            ),
            (
                "RW 1 SESPARSE \"s\"",
                1,
                ExtentSource::Other("SESPARSE".into()),
            ),
            (
                "NOACCESS 1 FLAT \"s\" 0",
                1,
                ExtentSource::Other("NOACCESS FLAT".into()),
            ),
        ] {
            let parsed = Descriptor::parse(line.as_bytes()).unwrap();
            let expected = ExtentLine {
                at: 0,
                length: length * 512,
                source,
            };
            assert_eq!(parsed.extents, [expected], "{line}");
        }
    }

    #[test]
    fn a_bad_line_is_named_with_its_place() {
        for (line, message) in [
            ("RW x FLAT \"a\" 0", "not the length"),
            ("RW 0 FLAT \"a\" 0", "not the length"),
            ("RW 99999999999999999999 ZERO", "not the length"),
            ("RW 36028797018963968 ZERO", "not the length"),
            ("RW 1 FLAT a 0", "without a file name"),
            ("RW 1 FLAT", "without a file name"),
            ("RW 1 SPARSE \"a", "no closing quote"),
            ("RW 1 FLAT \"a\" -1", "not the offset"),
            ("RW 1 CLOUD \"a\"", "not a type"),
            ("hello", "neither a setting nor an extent"),
            ("version=9", "version"),
            ("RW 1 FLAT \"\u{0}\" 0", "no closing quote"),
        ] {
            let error = Descriptor::parse(format!("# x\r\n{line}\n").as_bytes()).unwrap_err();
            assert_eq!(error.at, 5, "{line}");
            assert!(error.what.contains(message), "{line}: {error}");
        }
        assert!(Descriptor::parse(b"\xff\xfe").is_err());
        let many = "RW 1 ZERO\n".repeat(MAX_EXTENTS + 1);
        assert!(Descriptor::parse(many.as_bytes()).is_err());
    }

    #[test]
    fn a_whole_descriptor_with_crlf_comments_and_padding() {
        let mut text =
            b"# Disk DescriptorFile\r\nversion=1\r\nCID=1234abcd\r\nparentCID=ffffffff\r\n\
            createType = \"twoGbMaxExtentFlat\"\r\n\r\n# Extent description\r\n\
            RW 4192256 FLAT \"d-f001.vmdk\" 0\r\nRW 16 ZERO\r\n\r\n#DDB\r\n\
            ddb.adapterType = \"lsilogic\"\r\n"
                .to_vec();
        text.resize(1024, 0);
        assert!(is_descriptor(&text));
        let descriptor = Descriptor::parse(&text).unwrap();
        assert_eq!(descriptor.create_type, "twoGbMaxExtentFlat");
        assert_eq!(descriptor.parent, None);
        assert_eq!(descriptor.extents.len(), 2);
        assert_eq!(descriptor.size(), Some((4_192_256 + 16) * 512));
    }

    #[test]
    fn a_parent_is_found_with_or_without_hint() {
        for (text, parent) in [
            ("parentCID=ffffffff", None),
            ("parentCID=FFFFFFFF\nparentFileNameHint=\"\"", None),
            (
                "parentCID=1a2b\nparentFileNameHint=\"base.vmdk\"",
                Some("base.vmdk"),
            ),
            ("parentCID=1a2b", Some("(content id 1a2b)")),
            ("parentFileNameHint=\"/etc/shadow\"", Some("/etc/shadow")),
        ] {
            let descriptor = Descriptor::parse(text.as_bytes()).unwrap();
            assert_eq!(descriptor.parent.as_deref(), parent, "{text}");
        }
    }

    #[test]
    fn only_descriptors_look_like_one() {
        for (head, expected) in [
            (&b"# Disk DescriptorFile\nversion=1\n"[..], true),
            (b"\n# made by hand\nversion = 1\n", true),
            (b"# a shell script\nversion\n", false),
            (b"#!/bin/sh\nexit 0\n", false),
            (b"", false),
            (b"\0\0\0\0# Disk DescriptorFile\n", false),
        ] {
            assert_eq!(is_descriptor(head), expected, "{head:?}");
        }
    }
}
