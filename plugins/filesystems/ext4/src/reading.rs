//! Everything that only looks: metadata, directories, content, links, room.

use cofferdam_sdk::types::{Entry, FileKind, Metadata, Page, Space, Timestamp};
use cofferdam_sdk::{Error, Result, path};
use fs_ext4::Filesystem;
use fs_ext4::dir::DirEntryType;
use fs_ext4::features::Incompat;
use fs_ext4::inode::{Inode, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK};

use crate::bytes::u32_at;
use crate::error::Doing;
use crate::lookup;

/// The most that one read gives, by the contract.
const READ: u32 = 4 << 20;
/// The most entries of one page, whatever the caller asks for.
const PAGE: u32 = 10_000;

/// What an inode is; `corrupt` where its mode says nothing that ext4 knows.
pub fn kind(inode: &Inode) -> Result<FileKind> {
    Ok(match inode.file_type() {
        S_IFREG => FileKind::Regular,
        S_IFDIR => FileKind::Directory,
        S_IFLNK => FileKind::Symlink,
        S_IFBLK => FileKind::BlockDevice,
        S_IFCHR => FileKind::CharacterDevice,
        S_IFIFO => FileKind::Fifo,
        S_IFSOCK => FileKind::Socket,
        other => {
            return Err(Error::corrupt(format!(
                "an inode is of the unknown kind {other:#o}"
            )));
        }
    })
}

/// Major and minor number, which are in the first word of the block map in the old form
/// (16 bits) and in the second in the new (`old_decode_dev`, `new_decode_dev` of Linux).
fn device(inode: &Inode) -> Result<(u32, u32)> {
    let old = u32_at(&inode.block, 0)?;
    if old != 0 {
        return Ok(((old >> 8) & 0xff, old & 0xff));
    }
    let new = u32_at(&inode.block, 4)?;
    Ok((
        (new >> 8) & 0xfff,
        (new & 0xff) | ((new >> 12) & 0xfff_ff00),
    ))
}

fn time(seconds: i64, nanoseconds: u32) -> Timestamp {
    Timestamp {
        seconds,
        // The field has room for more than a second's worth.
        nanoseconds: nanoseconds.min(999_999_999),
    }
}

/// Metadata of a path.
pub fn stat(volume: &Filesystem, text: &str) -> Result<Metadata> {
    let (number, inode) = lookup::stat(volume, text)?;
    let kind = kind(&inode).doing(|| text.to_string())?;
    let is_node = matches!(kind, FileKind::BlockDevice | FileKind::CharacterDevice);
    Ok(Metadata {
        inode: u64::from(number),
        kind,
        mode: u32::from(inode.mode & 0o7777),
        links: u32::from(inode.links_count),
        owner: inode.uid,
        group: inode.gid,
        size: inode.size,
        device: is_node.then(|| device(&inode)).transpose()?,
        accessed: time(inode.atime, inode.atime_nsec),
        modified: time(inode.mtime, inode.mtime_nsec),
        changed: time(inode.ctime, inode.ctime_nsec),
    })
}

/// Where a listing goes on: a logical block, and how many of its entries were given.
struct Cursor {
    block: u64,
    entry: usize,
}

impl Cursor {
    fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self { block: 0, entry: 0 });
        }
        let parts = text.split_once('.');
        let parsed = parts.and_then(|(block, entry)| {
            Some(Self {
                block: block.parse().ok()?,
                entry: entry.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| Error::invalid(format!("{text:?} is no cursor of a listing")))
    }
}

/// Some entries of a directory, in the order of its blocks: index nodes of a hashed
/// directory look empty there, so that both kinds are read alike.
pub fn list(volume: &Filesystem, text: &str, cursor: &str, limit: u32) -> Result<Page> {
    let (number, inode) = lookup::stat(volume, text)?;
    if !inode.is_dir() {
        return Err(Error::invalid(format!("{text} is no directory")));
    }
    lookup::check_directory(volume, &inode).doing(|| text.to_string())?;
    fs_ext4::file_io::refuse_encrypted_names(&inode).doing(|| text.to_string())?;
    let cursor = Cursor::parse(cursor)?;
    let limit = usize::try_from(limit.clamp(1, PAGE)).unwrap_or(1);
    let blocks = if inode.has_inline_data() {
        1
    } else {
        inode.size.div_ceil(u64::from(volume.sb.block_size()))
    };
    let mut entries = Vec::new();
    let mut skip = cursor.entry;
    for block in cursor.block..blocks {
        let found = block_entries(volume, number, &inode, block)
            .doing(|| format!("{text} cannot be listed"))?;
        for (at, entry) in found.into_iter().enumerate().skip(skip) {
            if entry.name == b"." || entry.name == b".." {
                continue;
            }
            if entries.len() == limit {
                return Ok(Page {
                    entries,
                    next: Some(format!("{block}.{at}")),
                });
            }
            entries.push(Entry {
                name: path::escape(&entry.name),
                kind: entry_kind(volume, &entry).doing(|| format!("{text} cannot be listed"))?,
                inode: u64::from(entry.inode),
            });
        }
        skip = 0;
    }
    Ok(Page {
        entries,
        next: None,
    })
}

fn block_entries(
    volume: &Filesystem,
    number: u32,
    inode: &Inode,
    block: u64,
) -> fs_ext4::Result<Vec<fs_ext4::dir::DirEntry>> {
    if inode.has_inline_data() {
        return volume.read_dir_ino(number);
    }
    let Some(physical) = volume.map_inode_logical(inode, block)? else {
        return Ok(Vec::new());
    };
    let bytes = volume.read_block(physical)?;
    let with_kind = volume.sb.feature_incompat & Incompat::FILETYPE.bits() != 0;
    fs_ext4::dir::parse_block_verified(&bytes, with_kind, number, inode.generation, &volume.csum)
}

fn entry_kind(volume: &Filesystem, entry: &fs_ext4::dir::DirEntry) -> Result<FileKind> {
    Ok(match entry.file_type {
        DirEntryType::RegFile => FileKind::Regular,
        DirEntryType::Directory => FileKind::Directory,
        DirEntryType::Symlink => FileKind::Symlink,
        DirEntryType::BlockDev => FileKind::BlockDevice,
        DirEntryType::CharDev => FileKind::CharacterDevice,
        DirEntryType::Fifo => FileKind::Fifo,
        DirEntryType::Socket => FileKind::Socket,
        // Directories of file systems without `filetype` do not say.
        _ => {
            let inode = volume
                .stat_ino(entry.inode)
                .doing(|| format!("inode {}", entry.inode))?;
            kind(&inode)?
        }
    })
}

/// Part of a regular file.
pub fn read(volume: &Filesystem, text: &str, offset: u64, length: u32) -> Result<Vec<u8>> {
    let (number, inode) = lookup::stat(volume, text)?;
    if !inode.is_file() {
        return Err(Error::invalid(format!("{text} is no regular file")));
    }
    if length > READ {
        return Err(Error::limit(format!(
            "one read gives at most {READ} bytes, and {length} were asked for"
        )));
    }
    let left = inode.size.saturating_sub(offset).min(u64::from(length));
    let mut bytes = vec![0; usize::try_from(left).unwrap_or(0)];
    if !bytes.is_empty() {
        let read = volume
            .read_ino(number, offset, &mut bytes)
            .doing(|| format!("{text} cannot be read"))?;
        bytes.truncate(read);
    }
    Ok(bytes)
}

/// Target of a symbolic link, escaped.
pub fn read_link(volume: &Filesystem, text: &str) -> Result<String> {
    let (number, inode) = lookup::stat(volume, text)?;
    if !inode.is_symlink() {
        return Err(Error::invalid(format!("{text} is no symbolic link")));
    }
    let target = volume
        .read_link_ino(number)
        .doing(|| format!("{text} cannot be read"))?;
    Ok(path::escape(&target))
}

/// Room left, from the superblock as it is on the device now.
pub fn space(volume: &Filesystem) -> Result<Space> {
    let now = fs_ext4::Superblock::read(volume.dev.as_ref())
        .doing(|| "the superblock cannot be read".to_string())?;
    Ok(Space {
        block_size: now.block_size(),
        blocks: now.blocks_count,
        free_blocks: now.free_blocks_count.saturating_sub(now.r_blocks_count),
        inodes: u64::from(now.inodes_count),
        free_inodes: u64::from(now.free_inodes_count),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_what_pages_gave() {
        let start = Cursor::parse("").unwrap();
        assert_eq!((start.block, start.entry), (0, 0));
        let later = Cursor::parse("12.34").unwrap();
        assert_eq!((later.block, later.entry), (12, 34));
        for wrong in ["x", "1", "1.", ".2", "-1.0"] {
            assert!(Cursor::parse(wrong).is_err(), "{wrong}");
        }
    }
}
