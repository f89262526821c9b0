//! Which files a VMDK descriptor names.
//!
//! Only the extent lines are looked at, and leniently: the host parses the whole text
//! strictly when it opens the disk. Here they answer two questions: is everything there, and
//! is a given file a piece of this disk.
//!
//! Source: VMware, "Virtual Disk Format 5.0", "The Extent Description". Writers differ: CRLF
//! line ends, NULs up to the next sector (QEMU), a ZERO extent has no file, only FLAT and
//! VMFS extents have an offset.

/// One extent that is stored in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The file's name, as written.
    pub file: String,
    /// Bytes that the file must have at least; none where the extent is no plain copy of
    /// a part of the disk.
    pub least: Option<u64>,
}

/// The extents that are in files, in the disk's order. A line that is no extent is skipped,
/// and so is one whose length is no number: the host refuses it by its place.
pub fn extents(text: &[u8]) -> Vec<Extent> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text)
        .lines()
        .filter_map(extent)
        .collect()
}

fn extent(line: &str) -> Option<Extent> {
    let (place, rest) = line.split_once('"')?;
    let (file, rest) = rest.split_once('"')?;
    let mut words = place.split_ascii_whitespace();
    let access = words.next()?;
    if !matches!(access, "RW" | "RDONLY" | "NOACCESS") {
        return None;
    }
    let sectors: u64 = words.next()?.parse().ok()?;
    let flat = matches!(words.next()?, "FLAT" | "VMFS");
    let offset: u64 = rest
        .split_ascii_whitespace()
        .next()
        .map_or(Some(0), |offset| offset.parse().ok())
        .unwrap_or(0);
    let least = sectors
        .checked_add(offset)
        .and_then(|sectors| sectors.checked_mul(512));
    Some(Extent {
        file: file.to_owned(),
        least: least.filter(|_| flat),
    })
}

/// Why a name in a descriptor is not a file of its folder; none where it is.
pub fn leaves_folder(name: &str) -> Option<&'static str> {
    let drive = name.as_bytes().get(1) == Some(&b':')
        && name.starts_with(|c: char| c.is_ascii_alphabetic());
    if name.starts_with(['/', '\\']) || drive {
        Some("it is an absolute path")
    } else if name.split(['/', '\\']).any(|part| part == "..") {
        Some("it has a `..` part")
    } else if name.is_empty() {
        Some("it is empty")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn extent_lines_of_every_writer() {
        for (line, expected) in [
            (
                "RW 100 FLAT \"a-flat.vmdk\" 0",
                Some(("a-flat.vmdk", Some(51200))),
            ),
            (
                "RW 100 FLAT \"a-flat.vmdk\" 8",
                Some(("a-flat.vmdk", Some(55296))),
            ),
            ("RW 7 VMFS \"a b.vmdk\"\r", Some(("a b.vmdk", Some(3584)))),
            (
                "RDONLY\t7  SPARSE \"äö-s001.vmdk\"",
                Some(("äö-s001.vmdk", None)),
            ),
            ("NOACCESS 7 SESPARSE \"x\"", Some(("x", None))),
            ("RW 18446744073709551615 FLAT \"x\" 1", Some(("x", None))),
            ("RW 9 ZERO", None),
            ("RW x FLAT \"a\"", None),
            ("createType=\"monolithicFlat\"", None),
            ("ddb.adapterType = \"lsilogic\"", None),
            ("RW 9 FLAT \"a", None),
            ("", None),
        ] {
            let expected = expected.map(|(file, least)| Extent {
                file: file.to_owned(),
                least,
            });
            assert_eq!(extents(line.as_bytes()).pop(), expected, "{line}");
        }
    }

    #[test]
    fn padding_ends_the_text() {
        let text = b"RW 1 FLAT \"a\" 0\r\n\0\0RW 1 FLAT \"b\" 0\n";
        assert_eq!(extents(text).len(), 1);
    }

    #[test]
    fn names_that_leave_the_folder() {
        for name in [
            "/etc/passwd",
            "\\\\host\\x",
            "C:\\x",
            "../x",
            "a/../../x",
            "..",
            "a\\..\\x",
            "",
        ] {
            assert!(leaves_folder(name).is_some(), "{name}");
        }
        for name in ["x", "a/x", "a..b", ".x", "ä:x", "disk (1)-flat.vmdk"] {
            assert_eq!(leaves_folder(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = extents(&text);
        }
    }
}
