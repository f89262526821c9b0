//! Writing and cutting files without extents: those of ext2 and ext3, and of ext4 file
//! systems that were upgraded from them.
//!
//! The ext4 crate reads, creates and removes such files and refuses to write into or cut
//! them. Their map is the inode's 15 block numbers: 12 of data blocks, then one each of a
//! block of numbers, of a block of such blocks, and of a block of those
//! (<https://docs.kernel.org/filesystems/ext4/ifork.html>, "Direct/Indirect Block
//! Addressing").

use cofferdam_sdk::{Error, Result};
use fs_ext4::Filesystem;

use crate::bytes::{put_u16, put_u32, slice_mut, u16_at, u32_at};
use crate::error::Doing;
use crate::runtime::seconds;
use crate::stage::Stage;

/// `i_block`, `i_size_lo`, `i_size_high`, `i_blocks_lo`, `l_i_blocks_high`, `i_flags`.
const MAP: usize = 0x28;
const SIZE: (usize, usize) = (0x04, 0x6c);
const SECTORS: (usize, usize) = (0x1c, 0x74);
const FLAGS: usize = 0x20;
/// `EXT4_HUGE_FILE_FL`: `i_blocks` counts file-system blocks.
const HUGE_FILE: u32 = 0x4_0000;
/// `i_ctime`, `i_mtime` with their extra words.
const CHANGED: (usize, usize) = (0x0c, 0x84);
const MODIFIED: (usize, usize) = (0x10, 0x88);
/// How many blocks the inode names itself.
const DIRECT: u64 = 12;

/// The most bytes that such a file can have with blocks of `size` bytes: what its map
/// reaches, and what `i_blocks` can count in sectors.
pub fn most(size: u64) -> u64 {
    let per = size / 4;
    let blocks = DIRECT + per + per * per + per * per * per;
    (blocks * size).min((1 << 41) - size)
}

/// One file whose map is being changed.
struct Map<'a> {
    stage: Stage<'a>,
    number: u32,
    raw: Vec<u8>,
    /// Bytes of a block, and block numbers in one.
    size: u64,
    per: u64,
    group: u64,
    /// The first block that a file can have, and the first beyond the file system's end.
    bounds: (u64, u64),
    sectors: u64,
}

impl<'a> Map<'a> {
    fn new(volume: &'a Filesystem, number: u32) -> Result<Self> {
        let mut stage = Stage::new(volume);
        let raw = stage.inode(number)?;
        if u32_at(&raw, FLAGS)? & HUGE_FILE != 0 {
            return Err(Error::unsupported(
                "a file without extents that counts its blocks in the huge form",
            ));
        }
        let sectors =
            u64::from(u32_at(&raw, SECTORS.0)?) | u64::from(u16_at(&raw, SECTORS.1)?) << 32;
        let size = u64::from(volume.sb.block_size());
        let group =
            u64::from(number.saturating_sub(1)) / u64::from(volume.sb.inodes_per_group.max(1));
        Ok(Self {
            stage,
            number,
            raw,
            size,
            per: size / 4,
            group,
            bounds: (
                u64::from(volume.sb.first_data_block) + 1,
                volume.sb.blocks_count,
            ),
            sectors,
        })
    }

    /// The inode's slot for a block of the file, and the way down from there.
    fn way(&self, logical: u64) -> Result<(usize, Vec<usize>)> {
        let per = self.per;
        let mut left = logical;
        let way = if left < DIRECT {
            return Ok((index(left)?, Vec::new()));
        } else {
            left -= DIRECT;
            if left < per {
                (12, vec![left])
            } else {
                left -= per;
                if left < per * per {
                    (13, vec![left / per, left % per])
                } else {
                    left -= per * per;
                    (14, vec![left / (per * per), left / per % per, left % per])
                }
            }
        };
        if way.1.first().is_some_and(|&first| first >= per) {
            return Err(Error::limit("a file without extents cannot be that long"));
        }
        let down = way.1.into_iter().map(index).collect::<Result<_>>()?;
        Ok((way.0, down))
    }

    /// A number of the map, where it can be one.
    fn checked(&self, pointer: u32) -> Result<u64> {
        let block = u64::from(pointer);
        if block < self.bounds.0 || block >= self.bounds.1 {
            return Err(Error::corrupt(format!(
                "the block map of inode {} names block {block}",
                self.number
            )));
        }
        Ok(block)
    }

    fn take(&mut self) -> Result<u32> {
        let block = self.stage.allocate(self.group)?;
        self.sectors += self.size / 512;
        u32::try_from(block).map_err(|_| {
            Error::no_space("a file without extents cannot use the blocks that are left")
        })
    }

    fn release(&mut self, block: u64) -> Result<()> {
        self.stage.free(block)?;
        self.sectors = self.sectors.saturating_sub(self.size / 512);
        Ok(())
    }

    fn zeros(&self) -> Result<Vec<u8>> {
        Ok(vec![0; index(self.size)?])
    }

    /// Where a block of the file is; none where it is not mapped.
    fn find(&mut self, logical: u64) -> Result<Option<u64>> {
        let (slot, down) = self.way(logical)?;
        let mut pointer = u32_at(&self.raw, MAP + slot * 4)?;
        for at in down {
            if pointer == 0 {
                return Ok(None);
            }
            let holder = self.checked(pointer)?;
            pointer = u32_at(self.stage.block(holder)?, at * 4)?;
        }
        (pointer != 0).then(|| self.checked(pointer)).transpose()
    }

    /// Where a block of the file is, after taking one for it if it had none; whether it
    /// is new.
    fn reach(&mut self, logical: u64) -> Result<(u64, bool)> {
        let (slot, down) = self.way(logical)?;
        let mut pointer = u32_at(&self.raw, MAP + slot * 4)?;
        let mut new = pointer == 0;
        if new {
            pointer = self.take()?;
            put_u32(&mut self.raw, MAP + slot * 4, pointer)?;
        }
        for at in down {
            let holder = self.checked(pointer)?;
            if new {
                let zeros = self.zeros()?;
                self.stage.put(holder, zeros);
            }
            pointer = u32_at(self.stage.block(holder)?, at * 4)?;
            new = pointer == 0;
            if new {
                pointer = self.take()?;
                put_u32(self.stage.block(holder)?, at * 4, pointer)?;
            }
        }
        Ok((self.checked(pointer)?, new))
    }

    /// Frees what a block of numbers, `level` levels above the data, holds from the
    /// `keep`th block of the file on; whether nothing of it is left.
    fn cut(&mut self, pointer: u32, level: u32, base: u64, keep: u64) -> Result<bool> {
        let block = self.checked(pointer)?;
        if level > 0 {
            let span = self.per.pow(level - 1);
            let mut left = false;
            let mut numbers = self.stage.block(block)?.clone();
            for at in 0..self.per {
                let child = u32_at(&numbers, index(at * 4)?)?;
                if child == 0 {
                    continue;
                }
                let start = base + at * span;
                if start + span <= keep {
                    left = true;
                } else if self.cut(child, level - 1, start, keep)? {
                    put_u32(&mut numbers, index(at * 4)?, 0)?;
                } else {
                    left = true;
                }
            }
            if left {
                self.stage.put(block, numbers);
                return Ok(false);
            }
        }
        self.release(block)?;
        Ok(true)
    }

    /// Stores size, times and the count of sectors, and writes everything.
    fn finish(mut self, volume: &Filesystem, size: u64) -> Result<()> {
        let raw = &mut self.raw;
        put_u32(raw, SIZE.0, (size & 0xffff_ffff) as u32)?;
        put_u32(raw, SIZE.1, (size >> 32) as u32)?;
        put_u32(raw, SECTORS.0, (self.sectors & 0xffff_ffff) as u32)?;
        put_u16(raw, SECTORS.1, (self.sectors >> 32 & 0xffff) as u16)?;
        let now = seconds();
        put_time(raw, CHANGED, now)?;
        put_time(raw, MODIFIED, now)?;
        self.stage.put_inode(self.number, self.raw)?;
        self.stage.write(volume.dev.as_ref())
    }
}

fn index(number: u64) -> Result<usize> {
    usize::try_from(number).map_err(|_| Error::corrupt("a number of the block map does not fit"))
}

/// Stores a time: a signed 32-bit count of seconds and, where the inode has the extra
/// word, two bits that extend it, above them no nanoseconds.
fn put_time(raw: &mut [u8], (base, extra): (usize, usize), seconds: i64) -> Result<()> {
    let declared = if raw.len() > 128 {
        128 + usize::from(u16_at(raw, 0x80)?)
    } else {
        128
    };
    if extra + 4 <= declared.min(raw.len()) {
        let low = i64::from(seconds as i32);
        put_u32(raw, extra, ((seconds - low) >> 32 & 3) as u32)?;
        put_u32(raw, base, seconds as u32)
    } else {
        let clamped = seconds.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        put_u32(raw, base, clamped as u32)
    }
}

/// Writes into a file, growing it where needed; the caller has checked [`most`].
pub fn write(volume: &mut Filesystem, number: u32, offset: u64, bytes: &[u8]) -> Result<()> {
    let (inode, _) = volume
        .read_inode_verified(number)
        .doing(|| format!("inode {number}"))?;
    let end = offset + bytes.len() as u64;
    let mut map = Map::new(volume, number)?;
    let size = map.size;
    let mut rest = bytes;
    let mut at = offset;
    while !rest.is_empty() {
        let inside = index(at % size)?;
        let length = rest.len().min(index(size)? - inside);
        let (piece, after) = rest.split_at(length);
        let (block, new) = map.reach(at / size)?;
        if new || piece.len() as u64 == size {
            let mut content = map.zeros()?;
            slice_mut(&mut content, inside, length)?.copy_from_slice(piece);
            map.stage.put(block, content);
        } else {
            slice_mut(map.stage.block(block)?, inside, length)?.copy_from_slice(piece);
        }
        rest = after;
        at += length as u64;
    }
    map.finish(volume, inode.size.max(end))?;
    refresh(volume)
}

/// Cuts a file to a size that is not above its own.
pub fn cut(volume: &mut Filesystem, number: u32, size: u64) -> Result<()> {
    let mut map = Map::new(volume, number)?;
    let keep = size.div_ceil(map.size);
    for slot in 0..15u32 {
        let place = MAP + index(u64::from(slot) * 4)?;
        let pointer = u32_at(&map.raw, place)?;
        if pointer == 0 {
            continue;
        }
        let (level, base) = match slot {
            0..12 => (0, u64::from(slot)),
            12 => (1, DIRECT),
            13 => (2, DIRECT + map.per),
            _ => (3, DIRECT + map.per + map.per * map.per),
        };
        let below = base + map.per.pow(level);
        if below > keep && map.cut(pointer, level, base, keep)? {
            put_u32(&mut map.raw, place, 0)?;
        }
    }
    let tail = index(size % map.size)?;
    if tail != 0
        && let Some(block) = map.find(size / map.size)?
        && let Some(rest) = map.stage.block(block)?.get_mut(tail..)
    {
        rest.fill(0);
    }
    map.finish(volume, size)?;
    refresh(volume)
}

/// Makes the crate forget what it knew of blocks that were changed behind its back.
pub fn refresh(volume: &mut Filesystem) -> Result<()> {
    volume
        .fresh_read()
        .doing(|| "the file system cannot be read again".to_string())
}
