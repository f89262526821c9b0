//! What a file system that was not unmounted cleanly needs before it can be used: its
//! journal replayed, and the orphans that its kernel left reclaimed.
//!
//! The ext4 crate replays the journal and reclaims the orphans of the old list
//! (`s_last_orphan`). It refuses to write where the newer orphan file holds any
//! (`orphan_present`, the default of e2fsprogs 1.47.1 and later), so those are moved onto
//! the old list first. Format of the orphan file:
//! <https://docs.kernel.org/filesystems/ext4/orphan.html>.

use std::sync::Arc;

use cofferdam_sdk::{Error, Result};
use fs_ext4::Filesystem;
use fs_ext4::features::RoCompat;

use crate::bytes::{put_u32, slice, slice_mut, u32_at};
use crate::error::Doing;
use crate::port::{Disk, Port};
use crate::runtime::Clock;
use crate::stage::Stage;
use crate::superblock::Header;

/// `s_orphan_file_inum`.
const ORPHAN_FILE_INODE: usize = 0x280;
/// `s_last_orphan`.
const LAST_ORPHAN: usize = 0xe8;
/// `s_feature_ro_compat`.
const RO_COMPAT: usize = 0x64;
/// `ob_magic` of the tail of each block of the orphan file.
const ORPHAN_MAGIC: u32 = 0x0b10_ca04;
/// `i_dtime`, which links the old list.
const DELETED: usize = 0x14;
/// An orphan file has at most 512 blocks (`EXT4_MAX_ORPHAN_FILE_BLOCKS`).
const MOST_BLOCKS: u64 = 512;

/// Opens the file system with the crate.
pub fn open(disk: &Disk, header: &Header, writable: bool) -> Result<Filesystem> {
    let clock = Arc::new(Clock::new(&header.uuid, header.free_inodes));
    Filesystem::mount_with_runtime(Port::new(disk, writable), clock)
        .doing(|| format!("the {} file system cannot be mounted", header.kind()))
}

/// Whether the log of the journal holds transactions.
fn log_is_dirty(volume: &Filesystem) -> Result<bool> {
    let journal = fs_ext4::jbd2::read_superblock(volume)
        .doing(|| "the journal cannot be read".to_string())?;
    Ok(journal.is_some_and(|journal| !journal.is_clean()))
}

/// Replays the journal onto the disk where that is needed; whether it did.
///
/// `denied` where the disk takes no writes; `unsupported` where the journal is on another
/// device or has features that the crate does not know.
pub fn replay(disk: &Disk, header: &Header) -> Result<bool> {
    let mut needed = header.needs_recovery();
    if !needed && header.journal_inode != 0 {
        // The crate takes the log's word over the superblock's; so must this.
        needed = log_is_dirty(&open(disk, header, false)?)?;
    }
    if !needed {
        return Ok(false);
    }
    if disk.read_only() {
        return Err(Error::denied(
            "the file system was not unmounted cleanly, and its journal cannot be replayed \
             because the device takes no writes",
        )
        .with_hint("give it a copy-on-write overlay"));
    }
    if header.journal_inode == 0 {
        return Err(
            Error::unsupported("the journal that has to be replayed is on another device")
                .with_hint("start the guest once and shut it down cleanly"),
        );
    }
    let volume = open(disk, header, true)
        .map_err(|error| error.context("the journal has to be replayed first"))?;
    if log_is_dirty(&volume)? {
        return Err(Error::corrupt(
            "the journal is still dirty after its replay",
        ));
    }
    volume
        .finish()
        .doing(|| "the replayed journal cannot be put away".to_string())?;
    Ok(true)
}

/// Moves the entries of the orphan file onto the old list, from which the crate reclaims
/// them when it mounts for writing next; how many there were.
pub fn empty_orphan_file(disk: &Disk, header: &Header) -> Result<usize> {
    // Through a read-only mount's caches, but with a port of its own that writes: the
    // crate itself refuses to write such a volume.
    let volume = open(disk, header, false)?;
    let writer = Port::new(disk, true);
    let mut stage = Stage::new(&volume);
    let mut superblock = stage.superblock()?;
    let number = u32_at(&superblock, ORPHAN_FILE_INODE)?;
    let (inode, _) = volume
        .read_inode_verified(number)
        .doing(|| "the orphan file cannot be read".to_string())?;
    let size = usize::try_from(volume.sb.block_size())
        .map_err(|_| Error::corrupt("the block size does not fit"))?;
    let blocks = inode.size.div_ceil(size as u64).min(MOST_BLOCKS);
    let mut orphans = Vec::new();
    for logical in 0..blocks {
        let Some(physical) = volume
            .map_inode_logical(&inode, logical)
            .doing(|| "the orphan file cannot be read".to_string())?
        else {
            continue;
        };
        let entries = size.saturating_sub(8);
        let seed = volume.csum.crc(&number.to_le_bytes());
        let block = stage.block(physical)?;
        if u32_at(block, entries)? != ORPHAN_MAGIC {
            return Err(Error::corrupt(
                "a block of the orphan file has no signature",
            ));
        }
        for at in (0..entries).step_by(4) {
            match u32_at(block, at)? {
                0 => {}
                orphan => orphans.push(orphan),
            }
        }
        slice_mut(block, 0, entries)?.fill(0);
        if volume.csum.enabled {
            use fs_ext4::checksum::linux_crc32c;
            let seed = linux_crc32c(seed, &inode.generation.to_le_bytes());
            let seed = linux_crc32c(seed, &physical.to_le_bytes());
            let checksum = linux_crc32c(seed, slice(block, 0, entries)?);
            put_u32(block, entries + 4, checksum)?;
        }
    }
    let mut head = u32_at(&superblock, LAST_ORPHAN)?;
    for &orphan in &orphans {
        let mut raw = stage.inode(orphan)?;
        put_u32(&mut raw, DELETED, head)?;
        stage.put_inode(orphan, raw)?;
        head = orphan;
    }
    put_u32(&mut superblock, LAST_ORPHAN, head)?;
    let features = u32_at(&superblock, RO_COMPAT)? & !RoCompat::ORPHAN_PRESENT.bits();
    put_u32(&mut superblock, RO_COMPAT, features)?;
    stage.put_superblock(superblock)?;
    stage.write(writer.as_ref())?;
    Ok(orphans.len())
}
