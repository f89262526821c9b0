//! Everything that changes: names, content, sizes, owners and modes.
//!
//! Each operation is one transaction of the ext4 crate, or a few that leave a consistent
//! file system between them. Files without extents go to [`crate::block_mapped`].

use cofferdam_sdk::types::Attributes;
use cofferdam_sdk::{Error, Result, path};
use fs_ext4::features::RoCompat;
use fs_ext4::fs::TIME_OMIT;
use fs_ext4::inode::Inode;
use fs_ext4::{Filesystem, InodeRef};

use crate::bytes::{put_u32, u32_at};
use crate::error::{Doing, contract};
use crate::runtime::seconds;
use crate::stage::Stage;
use crate::{block_mapped, lookup, xattrs};

/// The most that one write takes, by the contract.
const WRITE: usize = 4 << 20;
/// Files beyond this need the feature `large_file`.
const LARGE: u64 = 0x7fff_ffff;
/// `s_feature_ro_compat`.
const RO_COMPAT: usize = 0x64;

fn permissions(mode: u32) -> Result<u16> {
    u16::try_from(mode)
        .ok()
        .filter(|mode| mode & !0o7777 == 0)
        .ok_or_else(|| Error::invalid(format!("{mode:#o} are no permission bits")))
}

/// What is made at a new name.
pub enum New<'a> {
    /// An empty regular file.
    File,
    /// An empty directory.
    Directory,
    /// A symbolic link to the (escaped) target.
    Symlink(&'a str),
}

/// Makes something, with its attributes; when they do not fit, nothing is left of it.
pub fn make(
    volume: &mut Filesystem,
    text: &str,
    what: &New<'_>,
    attributes: &Attributes,
) -> Result<()> {
    let mode = permissions(attributes.mode)?;
    let (directory, name) = lookup::parent(volume, text)?;
    let made = match what {
        New::File => volume.apply_create_at(directory, &name, mode),
        New::Directory => volume.apply_mkdir_at(directory, &name, mode),
        New::Symlink(target) => volume.apply_symlink_at(directory, &name, &path::unescape(target)?),
    };
    let number = made.doing(|| format!("{text} cannot be made"))?;
    give(volume, text, number, attributes).map_err(|error| {
        let undone = match what {
            New::Directory => volume.apply_rmdir_at(directory, &name),
            _ => volume.apply_unlink_at(directory, &name),
        };
        match undone {
            Ok(()) => error,
            Err(undo) => error.context(format!(
                "{text} was left half-made ({})",
                contract(undo).message
            )),
        }
    })
}

/// Gives a new inode its owner and label.
fn give(volume: &mut Filesystem, text: &str, number: u32, attributes: &Attributes) -> Result<()> {
    if (attributes.owner, attributes.group) != (0, 0) {
        volume
            .apply_chown_ino(number, attributes.owner, attributes.group)
            .doing(|| format!("{text} cannot be given to its owner"))?;
    }
    if let Some(label) = &attributes.label {
        // The kernel and setfiles store the label with a NUL at its end.
        let value: Vec<u8> = label.bytes().chain([0]).collect();
        xattrs::set(volume, text, "security.selinux", Some(&value))?;
    }
    Ok(())
}

fn regular(volume: &Filesystem, text: &str) -> Result<(u32, Inode)> {
    let (number, inode) = lookup::stat(volume, text)?;
    if !inode.is_file() {
        return Err(Error::invalid(format!("{text} is no regular file")));
    }
    Ok((number, inode))
}

/// Fails where a file cannot have `size` bytes; turns on `large_file` where it is the
/// first that needs it.
fn allow(volume: &mut Filesystem, inode: &Inode, size: u64, text: &str) -> Result<()> {
    let block = u64::from(volume.sb.block_size());
    let most = if inode.has_extents() || inode.has_inline_data() {
        u64::from(u32::MAX) * block
    } else {
        block_mapped::most(block)
    };
    if size > most {
        return Err(Error::limit(format!(
            "{text} cannot have {size} bytes; in this file system {most} are the most"
        )));
    }
    let feature = RoCompat::LARGE_FILE.bits();
    if size > LARGE && volume.sb.feature_ro_compat & feature == 0 {
        let mut stage = Stage::new(volume);
        let mut superblock = stage.superblock()?;
        let features = u32_at(&superblock, RO_COMPAT)? | feature;
        put_u32(&mut superblock, RO_COMPAT, features)?;
        stage.put_superblock(superblock)?;
        stage.write(volume.dev.as_ref())?;
        block_mapped::refresh(volume)?;
    }
    Ok(())
}

fn put(volume: &mut Filesystem, number: u32, inode: &Inode, at: u64, bytes: &[u8]) -> Result<()> {
    if !inode.has_extents() && !inode.has_inline_data() {
        return block_mapped::write(volume, number, at, bytes);
    }
    match volume.apply_pwrite_ino(number, at, bytes) {
        Err(fs_ext4::Error::Unsupported(_))
            if drop_preallocated(volume, number, at, bytes.len() as u64)? =>
        {
            volume
                .apply_pwrite_ino(number, at, bytes)
                .map_err(contract)?;
        }
        result => {
            result.map_err(contract)?;
        }
    }
    Ok(())
}

/// Gives back the preallocated ranges that a write touches; whether there were any. They
/// read as zeros before and after, and the crate does not split them in every tree.
fn drop_preallocated(volume: &Filesystem, number: u32, at: u64, length: u64) -> Result<bool> {
    let (inode, _) = volume.read_inode_verified(number).map_err(contract)?;
    let size = volume.sb.block_size();
    if !inode.has_extents() {
        return Ok(false);
    }
    let (extents, _) =
        fs_ext4::extent::collect_all_with_nodes(&inode.block, volume.dev.as_ref(), size)
            .map_err(contract)?;
    let size = u64::from(size);
    let mut found = false;
    for extent in extents.iter().filter(|extent| extent.uninitialized) {
        let start = u64::from(extent.logical_block) * size;
        let bytes = u64::from(extent.length) * size;
        if start < at + length && at < start + bytes {
            volume
                .apply_fallocate_punch_hole(number, start, bytes)
                .map_err(contract)?;
            found = true;
        }
    }
    Ok(found)
}

/// Zeroes what is behind the end of a file in its last block, up to `end`: a program that
/// mapped the file may have left something there, which growing must not uncover.
fn clear_tail(volume: &mut Filesystem, number: u32, inode: &Inode, end: u64) -> Result<()> {
    let size = u64::from(volume.sb.block_size());
    let inside = inode.size % size;
    if inside == 0 || inode.has_inline_data() {
        return Ok(());
    }
    let mapped = volume.map_inode_logical(inode, inode.size / size);
    let Some(block) = mapped.map_err(contract)? else {
        return Ok(());
    };
    let bytes = volume.read_block(block).map_err(contract)?;
    let tail = usize::try_from(inside).ok().and_then(|at| bytes.get(at..));
    let tail = tail.unwrap_or_default();
    if tail.iter().all(|&byte| byte == 0) {
        return Ok(());
    }
    let length = (end - inode.size).min(tail.len() as u64);
    let zeros = vec![0; usize::try_from(length).unwrap_or(0)];
    put(volume, number, inode, inode.size, &zeros)
}

/// Writes into a regular file, growing it where needed.
pub fn write(volume: &mut Filesystem, text: &str, offset: u64, bytes: &[u8]) -> Result<()> {
    if bytes.len() > WRITE {
        return Err(Error::limit(format!(
            "one write takes at most {WRITE} bytes, and {} were given",
            bytes.len()
        )));
    }
    let (number, inode) = regular(volume, text)?;
    if bytes.is_empty() {
        return Ok(());
    }
    let end = offset
        .checked_add(bytes.len() as u64)
        .ok_or_else(|| Error::invalid("the write goes beyond the largest possible offset"))?;
    allow(volume, &inode, end, text)?;
    if offset > inode.size {
        clear_tail(volume, number, &inode, offset)
            .doing(|| format!("{text} cannot be extended"))?;
    }
    put(volume, number, &inode, offset, bytes).doing(|| format!("{text} cannot be written"))
}

/// Cuts a regular file or extends it with zeros.
pub fn truncate(volume: &mut Filesystem, text: &str, size: u64) -> Result<()> {
    let (number, inode) = regular(volume, text)?;
    let doing = || format!("{text} cannot be given {size} bytes");
    allow(volume, &inode, size, text)?;
    if size > inode.size {
        clear_tail(volume, number, &inode, size).doing(doing)?;
    } else if size < inode.size && !inode.has_extents() && !inode.has_inline_data() {
        return block_mapped::cut(volume, number, size).doing(doing);
    }
    volume.apply_truncate_ino(number, size).doing(doing)?;
    // The crate leaves the times of a file that shrinks.
    volume
        .apply_utimens_ino(number, TIME_OMIT, 0, seconds(), 0)
        .doing(doing)
}

/// A new name for something; a regular file or link at that name is replaced.
pub fn rename(volume: &Filesystem, from: &str, to: &str) -> Result<()> {
    let (from_directory, from_name) = lookup::parent(volume, from)?;
    let (to_directory, to_name) = lookup::parent(volume, to)?;
    let (number, inode) = lookup::stat(volume, from)?;
    match volume.lookup_at(to_directory, &to_name) {
        Ok(there) if there == number => return Ok(()),
        Ok(there) => {
            let there = volume.stat_ino(there).doing(|| to.to_string())?;
            if there.is_dir() || inode.is_dir() {
                return Err(Error::exists(format!(
                    "{to} is there, and only a file can be replaced, by a file"
                )));
            }
        }
        Err(fs_ext4::Error::NotFound) => {}
        Err(error) => return Err(contract(error).context(to)),
    }
    volume
        .apply_rename_at(from_directory, &from_name, to_directory, &to_name, true)
        .doing(|| format!("{from} cannot be renamed to {to}"))
}

/// One more name for a regular file.
pub fn link(volume: &Filesystem, existing: &str, text: &str) -> Result<()> {
    let (number, _) = regular(volume, existing)?;
    let (directory, name) = lookup::parent(volume, text)?;
    volume
        .apply_link_at(InodeRef::any(number), directory, &name)
        .doing(|| format!("{existing} cannot be linked to {text}"))
}

/// Removes a name, and an empty directory with it.
pub fn remove(volume: &Filesystem, text: &str) -> Result<()> {
    let (directory, name) = lookup::parent(volume, text)?;
    let (_, inode) = lookup::stat(volume, text)?;
    let removed = if inode.is_dir() {
        volume.apply_rmdir_at(directory, &name)
    } else {
        volume.apply_unlink_at(directory, &name)
    };
    removed.doing(|| format!("{text} cannot be removed"))
}

/// Permission bits, owner and group.
pub fn set_attributes(
    volume: &Filesystem,
    text: &str,
    mode: u32,
    owner: u32,
    group: u32,
) -> Result<()> {
    let mode = permissions(mode)?;
    let number = lookup::inode(volume, text)?;
    let doing = || format!("the attributes of {text} cannot be set");
    volume.apply_chown_ino(number, owner, group).doing(doing)?;
    volume.apply_chmod_ino(number, mode).doing(doing)
}
