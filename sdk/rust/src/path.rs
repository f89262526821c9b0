//! Names and paths of the guest.
//!
//! A name is bytes in most file systems and text in the contract, with a reversible
//! escape (`wit/types`, interface `files`): a backslash is `\\`, a byte that is part of
//! no valid UTF-8 sequence is `\xHH` in lower case. Paths are absolute POSIX paths without
//! `.`, `..` and empty components; the root is `/`.

use crate::error::{Error, Result};

/// A name's bytes as the contract's text.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                text.push('\\');
            }
            text.push(character);
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The bytes of an escaped name; `invalid` where [`escape`] could not have written it, so
/// that two texts never mean the same name.
pub fn unescape(text: &str) -> Result<Vec<u8>> {
    let malformed = || Error::invalid(format!("{text:?} is no escaped name"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        if let Some(after) = after.strip_prefix('\\') {
            bytes.push(b'\\');
            rest = after;
        } else {
            let digits = after.strip_prefix('x').and_then(|after| after.get(..2));
            let digits = digits.ok_or_else(malformed)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| malformed())?);
            rest = after.get(3..).ok_or_else(malformed)?;
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    if escape(&bytes) == text {
        Ok(bytes)
    } else {
        Err(malformed())
    }
}

/// `directory` and a name in it.
pub fn join(directory: &str, name: &str) -> String {
    if directory == "/" {
        format!("/{name}")
    } else {
        format!("{directory}/{name}")
    }
}

/// The directory that holds a path; the root's is the root.
pub fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((directory, _)) => directory,
    }
}

/// The last component; empty for the root.
pub fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Fails with `invalid` unless the path has the form that the contract demands.
pub fn check(path: &str) -> Result<()> {
    let well_formed = path == "/"
        || path.strip_prefix('/').is_some_and(|rest| {
            rest.split('/')
                .all(|name| !matches!(name, "" | "." | "..") && !name.contains('\0'))
        });
    if well_formed {
        Ok(())
    } else {
        Err(Error::invalid(format!(
            "{path:?} is not an absolute path without `.`, `..` and empty components"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_name_survives(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(unescape(&escape(&bytes)).unwrap(), bytes);
        }

        #[test]
        fn an_accepted_text_is_the_only_one_for_its_name(text in "(\\\\|x|[0-9a-fA-F]|é){0,12}") {
            if let Ok(bytes) = unescape(&text) {
                prop_assert_eq!(escape(&bytes), text);
            }
        }
    }

    #[test]
    fn the_escape_is_the_contracts() {
        let cases: &[(&[u8], &str)] = &[
            (b"fstab", "fstab"),
            (b"a\\b", "a\\\\b"),
            (b"caf\xe9", "caf\\xe9"),
            ("café".as_bytes(), "café"),
            (b"\xff\xfe", "\\xff\\xfe"),
            (b"\xe2\x82", "\\xe2\\x82"),
        ];
        for (bytes, text) in cases {
            assert_eq!(escape(bytes), *text);
            assert_eq!(unescape(text).unwrap(), *bytes);
        }
        // The last two would be second spellings of `a` and of 0xff.
        for wrong in ["\\", "\\x", "\\x4", "\\q", "\\xé", "\\x61", "\\xFF"] {
            assert!(unescape(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn paths_come_apart_and_together() {
        assert_eq!(join("/", "etc"), "/etc");
        assert_eq!(join("/etc", "fstab"), "/etc/fstab");
        assert_eq!(parent("/etc/fstab"), "/etc");
        assert_eq!(parent("/etc"), "/");
        assert_eq!(parent("/"), "/");
        assert_eq!(file_name("/etc/fstab"), "fstab");
        assert_eq!(file_name("/"), "");
        for right in ["/", "/etc", "/etc/fstab", "/a..b"] {
            check(right).unwrap();
        }
        for wrong in ["", "etc", "//", "/etc/", "/etc//x", "/./x", "/../x", "/a\0"] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
    }
}
