//! Where everything goes in a new qcow2 file, and the tables that say so.
//!
//! Knows nothing of files or threads: it is told, in the order of the disk, which clusters
//! come, and produces the buffers that have to be written.

mod state;

use super::buffer::AlignedBuffer;
use super::plan::CLUSTER;
use crate::bytes;
use std::collections::BTreeMap;

/// Entries of an L2 table or of the L1 table in one cluster.
const ENTRIES: u64 = CLUSTER / 8;
/// 16-bit reference counts in one cluster.
const COUNTS: u64 = CLUSTER / 2;
/// Clusters that are allocated at once for compressed data.
const REGION: u64 = 32;

/// Bit 63 of an entry: the reference count is exactly one.
const COPIED: u64 = 1 << 63;
/// Bit 62 of an L2 entry.
const COMPRESSED: u64 = 1 << 62;
/// With clusters of 2^16 bytes, the count of further sectors begins at bit 54.
const SECTORS_SHIFT: u32 = 62 - (16 - 8);

const VERSION: u32 = 3;
const HEADER_LENGTH: u32 = 104;
/// Reference counts of 2^4 bits.
const REFCOUNT_ORDER: u32 = 4;

/// Bytes for an offset of the file, in whole clusters.
pub(super) struct Write {
    pub(super) offset: u64,
    pub(super) buffer: AlignedBuffer,
}

/// The file as it has been laid out so far.
pub(super) struct Layout {
    size: u64,
    /// Clusters given out, the header's included.
    next: u64,
    l1: Vec<u64>,
    /// The L2 table being filled: its index, and its bytes.
    l2: Option<(u64, AlignedBuffer)>,
    /// Reference count blocks that are not complete.
    counts: BTreeMap<u64, AlignedBuffer>,
    /// Offsets of the complete ones, 0 for those that are not.
    count_table: Vec<u64>,
    region: Option<Region>,
    writes: Vec<Write>,
}

/// Clusters that are being filled with compressed data.
struct Region {
    /// First cluster.
    start: u64,
    buffer: AlignedBuffer,
    used: usize,
}

impl Layout {
    /// An empty disk of `size` bytes.
    pub(super) fn new(size: u64) -> Self {
        let tables = size.div_ceil(CLUSTER).div_ceil(ENTRIES);
        let mut this = Self {
            size,
            next: 0,
            l1: vec![0; usize::try_from(tables).unwrap_or(0)],
            l2: None,
            counts: BTreeMap::new(),
            count_table: Vec::new(),
            region: None,
            writes: Vec::new(),
        };
        // The header's.
        this.allocate(1);
        this
    }

    /// What became ready to be written since the last call.
    pub(super) fn take_writes(&mut self) -> Vec<Write> {
        std::mem::take(&mut self.writes)
    }

    /// Gives the guest clusters at `guest`, ascending, one after the other in the file.
    /// Returns the offset of the first; nothing for none.
    pub(super) fn place(&mut self, guest: &[u64]) -> Option<u64> {
        if guest.is_empty() {
            return None;
        }
        let first = self.allocate(guest.len() as u64);
        for (index, offset) in (0u64..).zip(guest) {
            self.map(*offset, ((first + index) * CLUSTER) | COPIED);
        }
        Some(first * CLUSTER)
    }

    /// Stores the compressed form of the guest cluster at `guest`, behind the last one.
    pub(super) fn pack(&mut self, guest: u64, packed: &[u8]) {
        let space = (REGION * CLUSTER) as usize;
        let fits = self
            .region
            .as_ref()
            .is_some_and(|region| region.used + packed.len() <= space);
        let mut begun = None;
        if !fits {
            let start = self.reserve(REGION);
            let fresh = Region {
                start,
                buffer: AlignedBuffer::new(space),
                used: 0,
            };
            if let Some(full) = self.region.replace(fresh) {
                if full.start + REGION == start {
                    begun = Some(full);
                } else {
                    self.emit(full.start, full.buffer);
                }
            }
        }
        let mut offset = None;
        let mut rest = packed;
        // Into the end of the region before, if this one continues it.
        if let Some(mut full) = begun {
            let room = space - full.used;
            if room > 0 {
                offset = Some(full.start * CLUSTER + full.used as u64);
                let (head, tail) = rest.split_at(room.min(rest.len()));
                let _ = bytes::put(full.buffer.get_mut(), full.used, head);
                rest = tail;
            }
            self.emit(full.start, full.buffer);
        }
        if let Some(region) = &mut self.region {
            let at = region.start * CLUSTER + region.used as u64;
            let _ = bytes::put(region.buffer.get_mut(), region.used, rest);
            region.used += rest.len();
            let offset = offset.unwrap_or(at);
            let last = offset + packed.len() as u64 - 1;
            for cluster in offset / CLUSTER..=last / CLUSTER {
                self.count(cluster);
            }
            let more = last / 512 - offset / 512;
            self.map(guest, COMPRESSED | (more << SECTORS_SHIFT) | offset);
        }
        self.emit_counts();
    }

    /// Takes clusters without counting references to them.
    fn reserve(&mut self, clusters: u64) -> u64 {
        let first = self.next;
        self.next += clusters;
        first
    }

    /// Takes clusters that have one reference each.
    fn allocate(&mut self, clusters: u64) -> u64 {
        let first = self.reserve(clusters);
        for cluster in first..first + clusters {
            self.count(cluster);
        }
        self.emit_counts();
        first
    }

    /// Counts one more reference to a cluster.
    fn count(&mut self, cluster: u64) {
        let block = self
            .counts
            .entry(cluster / COUNTS)
            .or_insert_with(|| AlignedBuffer::new(CLUSTER as usize));
        let at = (cluster % COUNTS * 2) as usize;
        if let Some(place) = bytes::slice_mut(block.get_mut(), at, 2)
            && let Ok(count) = <[u8; 2]>::try_from(&*place)
        {
            place.copy_from_slice(&(u16::from_be_bytes(count) + 1).to_be_bytes());
        }
    }

    /// Writes the reference count blocks that nothing can change any more.
    fn emit_counts(&mut self) {
        let open = self
            .region
            .as_ref()
            .map_or(self.next, |region| region.start);
        while let Some(entry) = self.counts.first_entry() {
            let index = *entry.key();
            if (index + 1) * COUNTS > open.min(self.next) {
                break;
            }
            let block = entry.remove();
            // Takes a cluster behind all that this block counts.
            let host = self.reserve(1);
            self.count(host);
            self.set_count_block(index, host * CLUSTER);
            self.emit(host, block);
        }
    }

    fn set_count_block(&mut self, index: u64, offset: u64) {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if self.count_table.len() <= index {
            self.count_table.resize(index + 1, 0);
        }
        if let Some(entry) = self.count_table.get_mut(index) {
            *entry = offset;
        }
    }

    fn emit(&mut self, cluster: u64, buffer: AlignedBuffer) {
        self.writes.push(Write {
            offset: cluster * CLUSTER,
            buffer,
        });
    }

    /// Sets the L2 entry of the guest cluster at `guest`.
    fn map(&mut self, guest: u64, entry: u64) {
        let cluster = guest / CLUSTER;
        let index = cluster / ENTRIES;
        if self
            .l2
            .as_ref()
            .is_some_and(|(current, _)| *current != index)
        {
            self.emit_l2();
        }
        let (_, table) = self
            .l2
            .get_or_insert_with(|| (index, AlignedBuffer::new(CLUSTER as usize)));
        let at = (cluster % ENTRIES * 8) as usize;
        let _ = bytes::put(table.get_mut(), at, &entry.to_be_bytes());
    }

    fn emit_l2(&mut self) {
        if let Some((index, table)) = self.l2.take() {
            let host = self.allocate(1);
            if let Some(entry) = usize::try_from(index)
                .ok()
                .and_then(|index| self.l1.get_mut(index))
            {
                *entry = (host * CLUSTER) | COPIED;
            }
            self.emit(host, table);
        }
    }

    /// Everything that is left to write, the header last, and the length of the file.
    pub(super) fn finish(mut self) -> (Vec<Write>, u64) {
        if let Some(region) = self.region.take() {
            if region.start + REGION == self.next {
                self.next = region.start + (region.used as u64).div_ceil(CLUSTER);
            }
            self.emit_prefix(region.start, &region);
        }
        self.emit_l2();
        let l1_clusters = (self.l1.len() as u64).div_ceil(ENTRIES);
        let l1 = self.allocate(l1_clusters);
        self.emit_table(l1, l1_clusters, &self.l1.clone());

        // The blocks count themselves and their table, which grows with them.
        let written = self.count_table.iter().filter(|entry| **entry != 0).count() as u64;
        let (mut blocks, mut table_clusters) = (0, 1);
        let mut total = self.next + table_clusters;
        loop {
            let all = total.div_ceil(COUNTS);
            blocks = all.saturating_sub(written).max(blocks);
            table_clusters = all.div_ceil(ENTRIES).max(table_clusters);
            let needed = self.next + blocks + table_clusters;
            if needed == total {
                break;
            }
            total = needed;
        }
        let first = self.reserve(blocks + table_clusters);
        for cluster in first..self.next {
            self.count(cluster);
        }
        let table = first + blocks;
        // Every cluster up to `next` has an entry except unused ones of regions; those
        // blocks that hold only such do not exist, and need none.
        for (host, (index, block)) in (first..).zip(std::mem::take(&mut self.counts)) {
            self.set_count_block(index, host * CLUSTER);
            self.emit(host, block);
        }
        self.emit_table(table, table_clusters, &self.count_table.clone());

        let mut header = AlignedBuffer::new(CLUSTER as usize);
        let mut at = 0;
        let mut field = |value: &[u8]| {
            let _ = bytes::put(header.get_mut(), at, value);
            at += value.len();
        };
        field(b"QFI\xfb");
        field(&VERSION.to_be_bytes());
        // No backing file: offset, length of its name.
        field(&[0; 12]);
        field(&CLUSTER.trailing_zeros().to_be_bytes());
        field(&self.size.to_be_bytes());
        // No encryption.
        field(&[0; 4]);
        field(&(self.l1.len() as u32).to_be_bytes());
        field(&(l1 * CLUSTER).to_be_bytes());
        field(&(table * CLUSTER).to_be_bytes());
        field(&(table_clusters as u32).to_be_bytes());
        // No snapshots: number, offset. No features: incompatible, compatible, auto-clear.
        field(&[0; 12 + 24]);
        field(&REFCOUNT_ORDER.to_be_bytes());
        field(&HEADER_LENGTH.to_be_bytes());
        // The zeros behind it end the list of header extensions.
        self.emit(0, header);
        (self.writes, self.next * CLUSTER)
    }

    /// Emits the used clusters of a region.
    fn emit_prefix(&mut self, start: u64, region: &Region) {
        let length = region.used.next_multiple_of(CLUSTER as usize);
        let mut buffer = AlignedBuffer::new(length);
        if let Some(used) = region.buffer.get().get(..length) {
            buffer.get_mut().copy_from_slice(used);
        }
        self.emit(start, buffer);
    }

    fn emit_table(&mut self, start: u64, clusters: u64, entries: &[u64]) {
        let mut buffer = AlignedBuffer::new((clusters * CLUSTER) as usize);
        for (place, entry) in buffer.get_mut().chunks_exact_mut(8).zip(entries) {
            place.copy_from_slice(&entry.to_be_bytes());
        }
        self.emit(start, buffer);
    }
}
