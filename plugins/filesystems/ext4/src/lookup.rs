//! From paths to inodes.

use cofferdam_sdk::{Error, Result, path};
use fs_ext4::Filesystem;
use fs_ext4::inode::Inode;

use crate::error::Doing;

/// The root directory's inode.
pub const ROOT: u32 = 2;

/// The names of a path, as bytes.
pub fn components(text: &str) -> Result<Vec<Vec<u8>>> {
    path::check(text)?;
    text.split('/')
        .filter(|name| !name.is_empty())
        .map(path::unescape)
        .map(|name| match name {
            // An escape can spell what a plain name cannot.
            Ok(name) if name.contains(&b'/') || name.contains(&0) => Err(Error::invalid(format!(
                "{text:?} has a name with a slash or a NUL in it"
            ))),
            other => other,
        })
        .collect()
}

fn through_link(text: &str) -> Error {
    Error::invalid(format!(
        "{text}: a component of the path is a symbolic link, and the caller resolves those"
    ))
}

/// Refuses a directory that declares more blocks than it has: directories have no holes,
/// and looking for a name would go through every block that is declared.
pub fn check_directory(volume: &Filesystem, inode: &Inode) -> Result<()> {
    let declared = inode.size.div_ceil(512);
    if inode.is_dir() && !inode.has_inline_data() && declared > inode.blocks {
        return Err(Error::corrupt(format!(
            "a directory declares {} bytes and has {} blocks of {}",
            inode.size,
            inode.blocks / u64::from(volume.sb.block_size() / 512).max(1),
            volume.sb.block_size()
        )));
    }
    Ok(())
}

/// The inode that a list of names leads to, no link followed.
fn walk(volume: &Filesystem, names: &[Vec<u8>], text: &str) -> Result<u32> {
    let mut at = ROOT;
    for name in names {
        let inode = volume.stat_ino(at).doing(|| text.to_string())?;
        if inode.is_symlink() {
            return Err(through_link(text));
        }
        check_directory(volume, &inode).doing(|| text.to_string())?;
        at = volume.lookup_at(at, name).doing(|| text.to_string())?;
    }
    Ok(at)
}

/// The inode of a path.
pub fn inode(volume: &Filesystem, text: &str) -> Result<u32> {
    walk(volume, &components(text)?, text)
}

/// The inode of a path, and what it holds.
pub fn stat(volume: &Filesystem, text: &str) -> Result<(u32, Inode)> {
    let number = inode(volume, text)?;
    let inode = volume.stat_ino(number).doing(|| text.to_string())?;
    Ok((number, inode))
}

/// The inode of a path with its raw bytes.
pub fn raw(volume: &Filesystem, text: &str) -> Result<(u32, Inode, Vec<u8>)> {
    let number = inode(volume, text)?;
    let (inode, raw) = volume
        .read_inode_verified(number)
        .doing(|| text.to_string())?;
    Ok((number, inode, raw))
}

/// The directory that holds a path, and the name in it; `invalid` for the root.
pub fn parent(volume: &Filesystem, text: &str) -> Result<(u32, Vec<u8>)> {
    let mut names = components(text)?;
    let name = names
        .pop()
        .ok_or_else(|| Error::invalid("the root directory has no name that could be changed"))?;
    let directory = walk(volume, &names, text)?;
    let inode = volume.stat_ino(directory).doing(|| text.to_string())?;
    if inode.is_symlink() {
        return Err(through_link(text));
    }
    check_directory(volume, &inode).doing(|| text.to_string())?;
    if !inode.is_dir() {
        return Err(Error::not_found(format!(
            "{text}: a component of the path is no directory"
        )));
    }
    Ok((directory, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_apart_into_bytes() {
        assert!(components("/").unwrap().is_empty());
        assert_eq!(
            components("/etc/caf\\xe9").unwrap(),
            [b"etc".to_vec(), b"caf\xe9".to_vec()]
        );
        for wrong in ["", "etc", "/a//b", "/a/../b", "/a\\q"] {
            assert!(components(wrong).is_err(), "{wrong}");
        }
    }
}
