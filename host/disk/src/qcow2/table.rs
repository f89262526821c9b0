//! L1 and L2 tables: from a guest cluster to its place in the file.
//!
//! Source: `docs/interop/qcow2.txt` of QEMU, section "Cluster mapping". In both tables
//! bit 63 only speeds up writing, so it is ignored.

use super::header::Header;
use crate::bytes::be64;
use crate::cache::{Table, TableCache};
use crate::folder::SourceFile;
use crate::image::ExtentList;
use crate::{DiskError, ExtentKind};
use std::sync::Arc;

/// Bytes of L2 tables that are kept.
const TABLE_BYTES: usize = 4 << 20;

/// Bits 9 to 55 of a table entry: a byte offset.
const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;
/// Version 3: the cluster reads as zeros.
const ZERO: u64 = 1;

/// Where a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cluster {
    Hole,
    Zero,
    /// At this byte of the file.
    Data(u64),
    /// Deflated, from this byte of the file on.
    Compressed {
        at: u64,
        length: u64,
    },
}

/// The tables of an image.
pub(super) struct Tables {
    file: Arc<SourceFile>,
    header: Header,
    /// Byte offsets of the L2 tables, 0 where there is none.
    l1: Vec<u64>,
    /// The same, sorted and without the zeros.
    l2: Vec<u64>,
    cache: TableCache,
}

impl Tables {
    /// Reads and checks the L1 table.
    pub(super) fn open(file: Arc<SourceFile>, header: Header) -> Result<Self, DiskError> {
        let length = header.l1_entries * 8;
        let raw = file.read_vec(header.l1_at, length, "the L1 table")?;
        let l1: Vec<u64> = raw
            .chunks_exact(8)
            .map(|entry| be64(entry, 0).unwrap_or(0) & OFFSET_MASK)
            .collect();
        let mut l2 = Vec::new();
        for (index, &at) in (0u64..).zip(&l1) {
            if at == 0 {
                continue;
            }
            let corrupt = |what: &str| {
                file.corrupt(
                    header.l1_at.saturating_add(index * 8),
                    format!("the L2 table at byte {at} {what}"),
                )
            };
            if at % header.cluster_size != 0 {
                return Err(corrupt("does not begin at a cluster"));
            }
            let end = at.saturating_add(header.cluster_size);
            if end > file.size() {
                return Err(corrupt("lies beyond the end of the file"));
            }
            if at < header.l1_at.saturating_add(length) && end > header.l1_at {
                return Err(corrupt("overlaps the L1 table"));
            }
            l2.push(at);
        }
        l2.sort_unstable();
        if let Some((one, _)) = l2
            .iter()
            .zip(l2.iter().skip(1))
            .find(|(one, two)| one == two)
        {
            return Err(file.corrupt(
                header.l1_at,
                format!("the L2 table at byte {one} is used twice"),
            ));
        }
        let table_size = usize::try_from(header.cluster_size).unwrap_or(65536);
        Ok(Self {
            cache: TableCache::new(TABLE_BYTES, table_size),
            file,
            header,
            l1,
            l2,
        })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    fn entries(&self) -> u64 {
        self.header.cluster_size / 8
    }

    /// The L2 table that lists cluster `cluster`: its offset and bytes.
    fn table(&self, cluster: u64) -> Result<Option<Table>, DiskError> {
        let index = usize::try_from(cluster / self.entries()).unwrap_or(usize::MAX);
        let at = self.l1.get(index).copied().unwrap_or(0);
        if at == 0 {
            return Ok(None);
        }
        let table = self.cache.get(at, || {
            self.file
                .read_vec(at, self.header.cluster_size, "an L2 table")
        })?;
        Ok(Some((at, table)))
    }

    /// Looks guest cluster `cluster` up and checks where its entry points.
    pub(super) fn lookup(&self, cluster: u64) -> Result<Cluster, DiskError> {
        match self.table(cluster)? {
            Some((at, table)) => self.entry(at, &table, cluster % self.entries()),
            None => Ok(Cluster::Hole),
        }
    }

    fn entry(&self, table_at: u64, table: &[u8], index: u64) -> Result<Cluster, DiskError> {
        let position = usize::try_from(index * 8).unwrap_or(usize::MAX);
        let entry = be64(table, position).unwrap_or(0);
        let corrupt = |what: String| self.file.corrupt(table_at.saturating_add(index * 8), what);
        if entry & COMPRESSED != 0 {
            // Bits 0 to x-1 are a byte offset, x to 61 count the sectors after the first.
            let x = 62 - (self.header.cluster_bits - 8);
            let at = entry & ((1 << x) - 1);
            let more = (entry & (COMPRESSED - 1)) >> x;
            let length = ((more + 1) * 512).saturating_sub(at % 512);
            if at >= self.file.size() {
                return Err(corrupt(format!(
                    "the compressed cluster at byte {at} lies beyond the end of the file"
                )));
            }
            if let Some(what) = self.overlap(at, at + 1) {
                return Err(corrupt(format!(
                    "the compressed cluster at byte {at} overlaps {what}"
                )));
            }
            return Ok(Cluster::Compressed { at, length });
        }
        if self.header.version >= 3 && entry & ZERO != 0 {
            return Ok(Cluster::Zero);
        }
        let at = entry & OFFSET_MASK;
        if at == 0 {
            return Ok(Cluster::Hole);
        }
        if !at.is_multiple_of(self.header.cluster_size) {
            return Err(corrupt(format!(
                "the data cluster at byte {at} does not begin at a cluster"
            )));
        }
        if at >= self.file.size() {
            return Err(corrupt(format!(
                "the data cluster at byte {at} lies beyond the end of the file"
            )));
        }
        if let Some(what) = self.overlap(at, at.saturating_add(self.header.cluster_size)) {
            return Err(corrupt(format!(
                "the data cluster at byte {at} overlaps {what}"
            )));
        }
        Ok(Cluster::Data(at))
    }

    /// Which structure, if any, lies in bytes `start` to `end` of the file.
    fn overlap(&self, start: u64, end: u64) -> Option<&'static str> {
        if start < self.header.cluster_size {
            return Some("the header");
        }
        let l1_end = self.header.l1_at.saturating_add(self.header.l1_entries * 8);
        if start < l1_end && end > self.header.l1_at {
            return Some("the L1 table");
        }
        let before = self.l2.partition_point(|table| *table < end);
        let last = before.checked_sub(1).and_then(|last| self.l2.get(last))?;
        (last.saturating_add(self.header.cluster_size) > start).then_some("an L2 table")
    }

    /// Adds the extents of guest bytes `at` to `end`, as many as the list takes.
    pub(super) fn push_extents(
        &self,
        list: &mut ExtentList,
        mut at: u64,
        end: u64,
    ) -> Result<(), DiskError> {
        let size = self.header.cluster_size;
        let span = size * self.entries();
        while at < end {
            let table_end = (at / span).saturating_add(1).saturating_mul(span).min(end);
            let Some((table_at, table)) = self.table(at / size)? else {
                if !list.push(at, table_end.saturating_sub(at), ExtentKind::Hole) {
                    return Ok(());
                }
                at = table_end;
                continue;
            };
            while at < table_end {
                let cluster = at / size;
                let stop = cluster
                    .saturating_add(1)
                    .saturating_mul(size)
                    .min(table_end);
                let kind = match self.entry(table_at, &table, cluster % self.entries())? {
                    Cluster::Hole => ExtentKind::Hole,
                    Cluster::Zero => ExtentKind::Zero,
                    Cluster::Data(_) => ExtentKind::Data,
                    Cluster::Compressed { .. } => ExtentKind::Compressed,
                };
                if !list.push(at, stop.saturating_sub(at), kind) {
                    return Ok(());
                }
                at = stop;
            }
        }
        Ok(())
    }
}
