//! Blocks that are changed together: read once, changed in memory, written at the end.
//!
//! This serves what the ext4 crate does not do itself (files without extents, the orphan
//! file). It allocates and frees blocks and keeps bitmaps, group descriptors, the
//! superblock's count and every checksum of them right. Nothing reaches the device before
//! [`Stage::write`], so that an operation that fails half-way, for want of room or because
//! a structure is broken, has changed nothing. It does not go through the journal: what a
//! plugin writes counts only after `commit`, and until then the host can drop it.
//!
//! Formats: <https://docs.kernel.org/filesystems/ext4/group_descr.html>, `super.html`,
//! `bitmaps.html`, `checksums.html`.

use std::collections::{BTreeMap, BTreeSet};

use cofferdam_sdk::{Error, Result};
use fs_ext4::Filesystem;
use fs_ext4::block_io::BlockDevice;
use fs_ext4::checksum::{group_desc_csum, linux_crc32c};
use fs_ext4::features::{Incompat, RoCompat};

use crate::bytes::{put_u16, put_u32, slice, slice_mut, u16_at, u32_at};
use crate::error::Doing;
use crate::superblock::{LENGTH, OFFSET};

/// `bg_block_bitmap_lo`, `bg_inode_bitmap_lo`, `bg_inode_table_lo` and their high halves.
const BITMAP: (usize, usize) = (0x00, 0x20);
const INODE_BITMAP: (usize, usize) = (0x04, 0x24);
const INODE_TABLE: (usize, usize) = (0x08, 0x28);
/// `bg_free_blocks_count_lo` and `_hi`.
const FREE: (usize, usize) = (0x0c, 0x2c);
/// `bg_flags`, and in it `BLOCK_UNINIT`: the bitmap was never written.
const FLAGS: usize = 0x12;
const BLOCK_UNINIT: u16 = 0x2;
/// `bg_block_bitmap_csum_lo` and `_hi`.
const BITMAP_CHECKSUM: (usize, usize) = (0x18, 0x38);
/// `bg_checksum`.
const CHECKSUM: usize = 0x1e;
/// Descriptors of this length have the high halves.
const LONG_DESCRIPTOR: usize = 64;
/// `s_free_blocks_count_lo` and `_hi`, `s_checksum`.
const SUPER_FREE: (usize, usize) = (0x0c, 0x158);
const SUPER_CHECKSUM: usize = 0x3fc;

/// Changes to one file system that are written together.
pub struct Stage<'a> {
    volume: &'a Filesystem,
    blocks: BTreeMap<u64, Vec<u8>>,
    touched: BTreeSet<u64>,
    /// Blocks freed minus blocks allocated.
    freed: i64,
}

fn narrow(number: u64) -> Result<usize> {
    usize::try_from(number).map_err(|_| Error::corrupt("a number of the file system does not fit"))
}

impl<'a> Stage<'a> {
    /// Nothing changed yet.
    pub fn new(volume: &'a Filesystem) -> Self {
        Self {
            volume,
            blocks: BTreeMap::new(),
            touched: BTreeSet::new(),
            freed: 0,
        }
    }

    /// A block as it is now, to be changed.
    pub fn block(&mut self, number: u64) -> Result<&mut Vec<u8>> {
        if number >= self.volume.sb.blocks_count {
            return Err(Error::corrupt(format!(
                "block {number} is beyond the end of the file system"
            )));
        }
        match self.blocks.entry(number) {
            std::collections::btree_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let bytes = self
                    .volume
                    .read_block(number)
                    .doing(|| format!("block {number}"))?;
                Ok(entry.insert(bytes))
            }
        }
    }

    /// A block's new content; it was never needed what it held.
    pub fn put(&mut self, number: u64, bytes: Vec<u8>) {
        self.blocks.insert(number, bytes);
    }

    fn superblock_place(&self) -> Result<(u64, usize)> {
        let size = u64::from(self.volume.sb.block_size());
        Ok((OFFSET / size, narrow(OFFSET % size)?))
    }

    /// A copy of the superblock.
    pub fn superblock(&mut self) -> Result<Vec<u8>> {
        let (block, at) = self.superblock_place()?;
        Ok(slice(self.block(block)?, at, LENGTH)?.to_vec())
    }

    /// The superblock's new content; its checksum is made here.
    pub fn put_superblock(&mut self, mut raw: Vec<u8>) -> Result<()> {
        if self.volume.csum.enabled {
            let checksum = linux_crc32c(!0, slice(&raw, 0, SUPER_CHECKSUM)?);
            put_u32(&mut raw, SUPER_CHECKSUM, checksum)?;
        }
        let (block, at) = self.superblock_place()?;
        slice_mut(self.block(block)?, at, LENGTH)?.copy_from_slice(&raw);
        Ok(())
    }

    fn inode_place(&self, number: u32) -> Result<(u64, usize)> {
        let (block, at) = fs_ext4::bgd::locate_inode(&self.volume.sb, &self.volume.groups, number)
            .doing(|| format!("inode {number}"))?;
        Ok((block, narrow(u64::from(at))?))
    }

    /// A copy of an inode.
    pub fn inode(&mut self, number: u32) -> Result<Vec<u8>> {
        let (block, at) = self.inode_place(number)?;
        let length = usize::from(self.volume.sb.inode_size);
        Ok(slice(self.block(block)?, at, length)?.to_vec())
    }

    /// An inode's new content; its checksum is made here.
    pub fn put_inode(&mut self, number: u32, mut raw: Vec<u8>) -> Result<()> {
        let generation = u32_at(&raw, 0x64)?;
        let csum = self.volume.csum;
        if let Some((low, high)) = csum.compute_inode_checksum(number, generation, &raw) {
            put_u16(&mut raw, 0x7c, low)?;
            // `i_checksum_hi` is there where `i_extra_isize` reaches over it.
            if raw.len() > 128 && u16_at(&raw, 0x80)? >= 4 {
                put_u16(&mut raw, 0x82, high)?;
            }
        }
        let (block, at) = self.inode_place(number)?;
        let length = raw.len();
        slice_mut(self.block(block)?, at, length)?.copy_from_slice(&raw);
        Ok(())
    }

    fn descriptor(&mut self, group: u64) -> Result<&mut [u8]> {
        let (block, at) = self.volume.sb.descriptor_location(group);
        let length = usize::from(self.volume.sb.desc_size);
        slice_mut(self.block(block)?, at, length)
    }

    /// A field of a descriptor whose high half is there in long descriptors only.
    fn address(&mut self, group: u64, (low, high): (usize, usize)) -> Result<u64> {
        let descriptor = self.descriptor(group)?;
        let mut value = u64::from(u32_at(descriptor, low)?);
        if descriptor.len() >= LONG_DESCRIPTOR {
            value |= u64::from(u32_at(descriptor, high)?) << 32;
        }
        Ok(value)
    }

    fn free_count(&mut self, group: u64) -> Result<u32> {
        let descriptor = self.descriptor(group)?;
        let mut value = u32::from(u16_at(descriptor, FREE.0)?);
        if descriptor.len() >= LONG_DESCRIPTOR {
            value |= u32::from(u16_at(descriptor, FREE.1)?) << 16;
        }
        Ok(value)
    }

    fn change_free_count(&mut self, group: u64, by: i64) -> Result<()> {
        let count = i64::from(self.free_count(group)?) + by;
        let count = u32::try_from(count)
            .map_err(|_| Error::corrupt(format!("group {group} counts its free blocks wrong")))?;
        let [a, b, c, d] = count.to_le_bytes();
        let descriptor = self.descriptor(group)?;
        put_u16(descriptor, FREE.0, u16::from_le_bytes([a, b]))?;
        if descriptor.len() >= LONG_DESCRIPTOR {
            put_u16(descriptor, FREE.1, u16::from_le_bytes([c, d]))?;
        }
        self.freed += by;
        self.touched.insert(group);
        Ok(())
    }

    fn first_block(&self, group: u64) -> u64 {
        u64::from(self.volume.sb.first_data_block)
            + group * u64::from(self.volume.sb.blocks_per_group)
    }

    fn blocks_in(&self, group: u64) -> u64 {
        let left = self
            .volume
            .sb
            .blocks_count
            .saturating_sub(self.first_block(group));
        left.min(u64::from(self.volume.sb.blocks_per_group))
    }

    /// Makes the bitmap of a group that never had one: used is what the file system's own
    /// structures take, and all that is beyond the group's end.
    fn make_bitmap(&mut self, group: u64) -> Result<()> {
        let size = narrow(u64::from(self.volume.sb.block_size()))?;
        let (first, count) = (self.first_block(group), self.blocks_in(group));
        let mut bitmap = vec![0; size];
        let mut take = |from: u64, length: u64| -> Result<()> {
            for block in from..from.saturating_add(length) {
                if block >= first && block - first < count {
                    set(&mut bitmap, block - first, true)?;
                }
            }
            Ok(())
        };
        take(first, self.volume.sb.group_head_metadata_blocks(group))?;
        let table = u64::from(self.volume.sb.inodes_per_group)
            * u64::from(self.volume.sb.inode_size)
            / size as u64;
        for other in 0..self.volume.sb.block_group_count() {
            take(self.address(other, BITMAP)?, 1)?;
            take(self.address(other, INODE_BITMAP)?, 1)?;
            take(self.address(other, INODE_TABLE)?, table)?;
        }
        for bit in count..(size as u64) * 8 {
            set(&mut bitmap, bit, true)?;
        }
        let place = self.address(group, BITMAP)?;
        self.put(place, bitmap);
        let descriptor = self.descriptor(group)?;
        let flags = u16_at(descriptor, FLAGS)? & !BLOCK_UNINIT;
        put_u16(descriptor, FLAGS, flags)
    }

    /// Takes a free block, in `group` if there is one, else in the next that has one.
    pub fn allocate(&mut self, group: u64) -> Result<u64> {
        let groups = self.volume.sb.block_group_count();
        for step in 0..groups {
            let group = (group + step) % groups;
            if self.free_count(group)? == 0 {
                continue;
            }
            if self.uses_group_flags()
                && u16_at(self.descriptor(group)?, FLAGS)? & BLOCK_UNINIT != 0
            {
                self.make_bitmap(group)?;
            }
            let (first, count) = (self.first_block(group), self.blocks_in(group));
            let place = self.address(group, BITMAP)?;
            let bitmap = self.block(place)?;
            let found = bitmap.iter().position(|&byte| byte != u8::MAX).map(|at| {
                (at as u64) * 8 + u64::from(bitmap.get(at).map_or(0, |b| b.trailing_ones()))
            });
            if let Some(bit) = found.filter(|&bit| bit < count) {
                set(bitmap, bit, true)?;
                self.change_free_count(group, -1)?;
                return Ok(first + bit);
            }
        }
        Err(Error::no_space("no free blocks are left"))
    }

    fn uses_group_flags(&self) -> bool {
        let flags = RoCompat::GDT_CSUM | RoCompat::METADATA_CSUM;
        self.volume.sb.feature_ro_compat & flags.bits() != 0
    }

    /// Gives a block back; `corrupt` where it was free already.
    pub fn free(&mut self, block: u64) -> Result<()> {
        let sb = &self.volume.sb;
        let relative = block
            .checked_sub(u64::from(sb.first_data_block))
            .filter(|_| block < sb.blocks_count)
            .ok_or_else(|| Error::corrupt(format!("there can be no block {block}")))?;
        let per_group = u64::from(sb.blocks_per_group);
        let (group, bit) = (relative / per_group, relative % per_group);
        let place = self.address(group, BITMAP)?;
        let bitmap = self.block(place)?;
        if !set(bitmap, bit, false)? {
            return Err(Error::corrupt(format!(
                "block {block} belongs to a file and is marked free"
            )));
        }
        self.blocks.remove(&block);
        self.change_free_count(group, 1)
    }

    /// Brings counts and checksums up to date and writes everything to `device`.
    pub fn write(mut self, device: &dyn BlockDevice) -> Result<()> {
        if self.freed != 0 {
            let mut superblock = self.superblock()?;
            let wide = self.volume.sb.feature_incompat & Incompat::BIT64.bits() != 0;
            let mut count = u64::from(u32_at(&superblock, SUPER_FREE.0)?);
            if wide {
                count |= u64::from(u32_at(&superblock, SUPER_FREE.1)?) << 32;
            }
            let count = count
                .checked_add_signed(self.freed)
                .ok_or_else(|| Error::corrupt("the superblock counts its free blocks wrong"))?;
            put_u32(&mut superblock, SUPER_FREE.0, (count & 0xffff_ffff) as u32)?;
            if wide {
                put_u32(&mut superblock, SUPER_FREE.1, (count >> 32) as u32)?;
            }
            self.put_superblock(superblock)?;
        }
        for group in std::mem::take(&mut self.touched) {
            self.seal(group)?;
        }
        let size = u64::from(self.volume.sb.block_size());
        for (number, bytes) in &self.blocks {
            device
                .write_at(number * size, bytes)
                .doing(|| format!("block {number} cannot be written"))?;
        }
        Ok(())
    }

    /// The checksums of a group's bitmap and descriptor.
    fn seal(&mut self, group: u64) -> Result<()> {
        let csum = self.volume.csum;
        if csum.enabled {
            let length = narrow(u64::from(self.volume.sb.blocks_per_group) / 8)?;
            let place = self.address(group, BITMAP)?;
            let [a, b, c, d] = csum
                .crc(slice(self.block(place)?, 0, length)?)
                .to_le_bytes();
            let descriptor = self.descriptor(group)?;
            put_u16(descriptor, BITMAP_CHECKSUM.0, u16::from_le_bytes([a, b]))?;
            if descriptor.len() >= LONG_DESCRIPTOR {
                put_u16(descriptor, BITMAP_CHECKSUM.1, u16::from_le_bytes([c, d]))?;
            }
        }
        let number = u32::try_from(group).map_err(|_| Error::corrupt("too many groups"))?;
        let volume = self.volume;
        let descriptor = self.descriptor(group)?;
        if let Some(checksum) = group_desc_csum(&volume.sb, &csum, number, descriptor) {
            put_u16(descriptor, CHECKSUM, checksum)?;
        }
        Ok(())
    }
}

/// Sets or clears a bit of a bitmap; what it was.
fn set(bitmap: &mut [u8], bit: u64, to: bool) -> Result<bool> {
    let mask = 1u8 << (bit % 8);
    let byte = bitmap
        .get_mut(narrow(bit / 8)?)
        .ok_or_else(|| Error::corrupt("a group has more blocks than its bitmap has bits"))?;
    let was = *byte & mask != 0;
    if to {
        *byte |= mask;
    } else {
        *byte &= !mask;
    }
    Ok(was)
}
