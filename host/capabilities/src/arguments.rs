//! Checks of what a guest passes, as `wit/` states them.

use cofferdam_contract::types::{Error, ErrorCode};

/// The most bytes that one read or write moves (`cofferdam:disk/devices`,
/// `source-folder`, `guest/trees`, `guest/view`, `plugin/file-tree`).
pub(crate) const MOST_BYTES: u32 = 4 << 20;

/// The most bytes of a device that an inspector reads at once (`guest/trees`).
pub(crate) const MOST_DEVICE_BYTES: u32 = 1 << 20;

/// The most content that one edit carries (`guest/edits`).
pub(crate) const MOST_CONTENT: usize = 16 << 20;

/// The most entries of one page that are worth asking for.
pub(crate) const MOST_ENTRIES: u32 = 10_000;

/// The most extents of one answer (`cofferdam:disk/devices`).
pub(crate) const MOST_EXTENTS: usize = 1_024;

/// The longest path: 4,096 bytes in the guest, each of which an escape makes four of.
pub(crate) const MOST_PATH: usize = 4 * 4096;

/// The longest name in a directory, or of an extended attribute: 255 bytes, escaped.
pub(crate) const MOST_NAME: usize = 4 * 255;

/// The longest remark for people: as long as a log line.
pub(crate) const MOST_NOTE: usize = 8 << 10;

/// The longest of the texts that name or describe one thing (a label, a model, a release).
pub(crate) const MOST_WORDS: usize = 1 << 10;

/// The largest value of an extended attribute, as Linux has it (`XATTR_SIZE_MAX` in
/// `include/uapi/linux/limits.h`).
pub(crate) const MOST_XATTR: usize = 64 << 10;

/// The highest permission bits.
pub(crate) const MOST_MODE: u32 = 0o7777;

/// Refuses a length above what one call moves.
pub(crate) fn length(asked: usize, most: usize) -> Result<(), Error> {
    if asked <= most {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::Limit,
        format!("{asked} bytes were asked for and one call moves at most {most}"),
    )
    .with_hint("move the rest with further calls"))
}

/// Refuses texts that are longer than `most`, which the host would have to keep.
pub(crate) fn texts(what: &str, texts: &[&str], most: usize) -> Result<(), Error> {
    match texts.iter().find(|text| text.len() > most) {
        None => Ok(()),
        Some(long) => Err(Error::new(
            ErrorCode::Limit,
            format!("{what} has {} bytes and may have {most}", long.len()),
        )),
    }
}

/// Refuses what is no absolute, plain path (`cofferdam:types/files`).
pub(crate) fn path(path: &str) -> Result<(), Error> {
    // A path that long is not repeated to anyone.
    if path.len() > MOST_PATH {
        return Err(Error::invalid(format!(
            "a path of {} bytes is longer than any guest's",
            path.len()
        )));
    }
    check_path(path).map_err(|reason| Error::invalid(format!("the path {path:?} {reason}")))
}

/// Says what is wrong with a path.
pub(crate) fn check_path(path: &str) -> Result<(), &'static str> {
    if path == "/" {
        return Ok(());
    }
    let Some(rest) = path.strip_prefix('/') else {
        return Err("is not absolute");
    };
    rest.split('/').try_for_each(check_name)
}

/// Says what is wrong with one name of a path.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("has an empty component"),
        "." | ".." => Err("has a `.` or `..` component"),
        _ if name.contains('/') => Err("has a `/` inside a name"),
        _ if name.contains('\0') => Err("has a NUL character"),
        _ => Ok(()),
    }
}

/// Refuses what is no name of at most `most` characters out of letters, digits, `-`, `_`
/// and `.` that starts with a letter or a digit; upper case only where it is allowed.
pub(crate) fn name(what: &str, name: &str, most: usize, upper_case: bool) -> Result<(), Error> {
    let alphanumeric = |c: char| {
        c.is_ascii_digit() || c.is_ascii_lowercase() || (upper_case && c.is_ascii_uppercase())
    };
    let plain = name.starts_with(alphanumeric)
        && name
            .chars()
            .all(|c| alphanumeric(c) || matches!(c, '-' | '_' | '.'));
    if plain && name.len() <= most {
        return Ok(());
    }
    let letters = if upper_case { "A-Z, a-z" } else { "a-z" };
    let shown: String = name.chars().take(most).collect();
    Err(Error::invalid(format!(
        "{what} {shown:?} is not 1 to {most} characters out of {letters}, 0-9, `-`, `_` and `.`, the first a letter or a digit"
    )))
}

/// Refuses bits that are no permission bits.
pub(crate) fn mode(mode: u32) -> Result<(), Error> {
    if mode <= MOST_MODE {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the mode 0o{mode:o} has bits beyond 0o7777; file type bits do not belong in it"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_plain() {
        for good in ["/", "/a", "/a/b.c", "/a b", "/...", "/\\xff"] {
            assert!(path(good).is_ok(), "{good}");
        }
        for bad in [
            "", "a", "a/b", "//", "/a/", "/a//b", "/.", "/a/../b", "/a\0",
        ] {
            let error = path(bad).unwrap_err();
            assert_eq!(error.code, ErrorCode::Invalid, "{bad:?}");
        }
    }

    #[test]
    fn long_texts_are_refused_and_not_repeated() {
        let long = format!("/{}", "a".repeat(MOST_PATH));
        let error = path(&long).unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid);
        assert!(error.message.len() < 100, "{}", error.message.len());
        assert!(path(&long[..MOST_PATH]).is_ok());
        assert_eq!(texts("it", &["", "ab"], 2), Ok(()));
        let error = texts("it", &["ab", "abc"], 2).unwrap_err();
        assert_eq!(error.code, ErrorCode::Limit);
    }

    #[test]
    fn names_are_no_paths() {
        for good in ["a", "0", "boot-1", "a.b_c"] {
            assert!(name("the name", good, 8, false).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-a", "a/b", "A", "a b", "ä", "123456789"] {
            let error = name("the name", bad, 8, false).unwrap_err();
            assert_eq!(error.code, ErrorCode::Invalid, "{bad:?}");
        }
        assert!(name("the name", "Token", 8, true).is_ok());
    }

    #[test]
    fn lengths_and_modes_end_where_they_are_said_to() {
        assert!(length(4 << 20, MOST_BYTES as usize).is_ok());
        assert_eq!(
            length((4 << 20) + 1, MOST_BYTES as usize).unwrap_err().code,
            ErrorCode::Limit
        );
        assert!(mode(0o7777).is_ok());
        assert!(mode(0o10000).is_err());
    }
}
