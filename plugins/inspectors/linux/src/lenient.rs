//! Reading a guest that is not as it should be: what is not there, not of the right kind, or
//! too long counts as absent, because a broken file must not keep the rest from being found.

use cofferdam_sdk::types::Entry;
use cofferdam_sdk::{FileTree, Result};

/// A regular file of at most `most` bytes.
pub fn bytes(view: &dyn FileTree, path: &str, most: u64) -> Result<Option<Vec<u8>>> {
    if !view.is_file(path)? || view.stat(path, true)?.size > most {
        return Ok(None);
    }
    view.read(path, most).map(Some)
}

/// The same as text, with what is no UTF-8 replaced.
pub fn text(view: &dyn FileTree, path: &str, most: u64) -> Result<Option<String>> {
    let bytes = bytes(view, path, most)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// A directory's entries by name.
pub fn entries(view: &dyn FileTree, path: &str) -> Result<Vec<Entry>> {
    if view.is_directory(path)? {
        view.list(path)
    } else {
        Ok(Vec::new())
    }
}
