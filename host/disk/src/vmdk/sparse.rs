//! Hosted sparse extents: a grain directory, grain tables, and grains, plain or compressed.
//!
//! The directory is read at opening (the header's check bounds it by the file), tables
//! when they are needed. Neighbouring grains usually follow each other in the file, so a
//! read collects a run of them, fetches it with one call and takes it apart: that is what
//! makes streamOptimized fast.

use super::header::{Header, SECTOR};
use crate::bytes::{le32, le64};
use crate::cache::{Table, TableCache};
use crate::folder::SourceFile;
use crate::image::ExtentList;
use crate::inflate::{self, Workspace, Workspaces};
use crate::{DiskError, ExtentKind, bytes};
use std::sync::Arc;

/// Bytes of the marker before a compressed grain: sector number, size of the data.
const MARKER: u64 = 12;

/// Bytes of grain tables that are kept.
const TABLE_BYTES: usize = 2 << 20;
/// Bytes of inflated grains that are kept for reads smaller than a grain.
const GRAIN_BYTES: usize = 2 << 20;

/// An open sparse extent.
pub(super) struct SparseExtent {
    file: Arc<SourceFile>,
    header: Header,
    /// Byte offsets of the grain tables, 0 where there is none.
    directory: Vec<u64>,
    /// The same, sorted and without the zeros.
    tables: Vec<u64>,
    cache: TableCache,
    grains: TableCache,
    workspaces: Workspaces,
}

/// Where a grain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grain {
    Hole,
    Zero,
    /// At this byte of the file.
    At(u64),
}

/// A part of a request that lies in one grain.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Where the grain is in the file.
    place: u64,
    /// Number of the grain.
    grain: u64,
    /// First wanted byte within the grain.
    skip: u64,
    /// Where the bytes go in the buffer of the request.
    into: usize,
    /// How many are wanted.
    length: usize,
}

impl SparseExtent {
    /// Reads and checks the grain directory.
    pub(super) fn open(file: Arc<SourceFile>, header: Header) -> Result<Self, DiskError> {
        let raw = file.read_vec(
            header.directory_at,
            header.tables * 4,
            "the grain directory",
        )?;
        let table_length = header.entries * 4;
        let directory: Vec<u64> = raw
            .chunks_exact(4)
            .map(|entry| u64::from(le32(entry, 0).unwrap_or(0)) * SECTOR)
            .collect();
        let mut tables = Vec::new();
        let directory_end = header.directory_at.saturating_add(header.tables * 4);
        for (index, &at) in (0u64..).zip(&directory) {
            if at == 0 {
                continue;
            }
            let entry_at = header.directory_at.saturating_add(index * 4);
            let end = at.saturating_add(table_length);
            if end > file.size() {
                return Err(file.corrupt(
                    entry_at,
                    format!("the grain table at byte {at} lies beyond the end of the file"),
                ));
            }
            if at < directory_end && end > header.directory_at {
                return Err(file.corrupt(
                    entry_at,
                    format!("the grain table at byte {at} overlaps the grain directory"),
                ));
            }
            tables.push(at);
        }
        tables.sort_unstable();
        for (one, two) in tables.iter().zip(tables.iter().skip(1)) {
            if one.saturating_add(table_length) > *two {
                return Err(file.corrupt(
                    header.directory_at,
                    format!("the grain tables at bytes {one} and {two} overlap"),
                ));
            }
        }
        Ok(Self {
            cache: TableCache::new(TABLE_BYTES, 2048),
            grains: TableCache::new(GRAIN_BYTES, usize::try_from(header.grain).unwrap_or(65536)),
            workspaces: Workspaces::default(),
            file,
            header,
            directory,
            tables,
        })
    }

    /// The grain table that lists grain `grain`: its offset and bytes.
    fn table(&self, grain: u64) -> Result<Option<Table>, DiskError> {
        let index = usize::try_from(grain / self.header.entries).unwrap_or(usize::MAX);
        let at = self.directory.get(index).copied().unwrap_or(0);
        if at == 0 {
            return Ok(None);
        }
        let table = self.cache.get(at, || {
            self.file
                .read_vec(at, self.header.entries * 4, "a grain table")
        })?;
        Ok(Some((at, table)))
    }

    /// Looks grain `grain` up and checks where its entry points.
    fn lookup(&self, grain: u64) -> Result<Grain, DiskError> {
        match self.table(grain)? {
            Some((at, table)) => self.entry(at, &table, grain % self.header.entries),
            None => Ok(Grain::Hole),
        }
    }

    fn entry(&self, table_at: u64, table: &[u8], index: u64) -> Result<Grain, DiskError> {
        let position = usize::try_from(index * 4).unwrap_or(usize::MAX);
        let sector = le32(table, position).unwrap_or(0);
        if sector == 0 {
            return Ok(Grain::Hole);
        }
        if sector == 1 && self.header.zeroed_grains {
            return Ok(Grain::Zero);
        }
        let at = u64::from(sector) * SECTOR;
        let corrupt = |what: &str| {
            self.file.corrupt(
                table_at.saturating_add(index * 4),
                format!("the grain at byte {at} {what}"),
            )
        };
        if at >= self.file.size() {
            return Err(corrupt("lies beyond the end of the file"));
        }
        // Compressed grains may be as short as a sector.
        let end = at
            + if self.header.compressed {
                SECTOR
            } else {
                self.header.grain
            };
        let overlaps = |start: u64, length: u64| at < start.saturating_add(length) && end > start;
        if overlaps(self.header.directory_at, self.header.tables * 4) {
            return Err(corrupt("overlaps the grain directory"));
        }
        if let Some((start, length)) = self.header.descriptor
            && overlaps(start, length)
        {
            return Err(corrupt("overlaps the descriptor"));
        }
        // Tables do not overlap each other, so only the last that begins before the end
        // of the grain can reach into it.
        let before = self.tables.partition_point(|table| *table < end);
        if let Some(table) = before.checked_sub(1).and_then(|last| self.tables.get(last))
            && overlaps(*table, self.header.entries * 4)
        {
            return Err(corrupt("overlaps a grain table"));
        }
        Ok(Grain::At(at))
    }

    /// Fills `buf` from byte `offset` of the extent. The caller has checked the range.
    pub(super) fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let size = self.header.grain;
        let mut run: Vec<Piece> = Vec::new();
        let mut into = 0;
        while into < buf.len() {
            let at = offset.saturating_add(into as u64);
            let (grain, skip) = (at / size, at % size);
            let rest = buf.len().saturating_sub(into);
            let length = usize::try_from(size.saturating_sub(skip)).map_or(rest, |n| n.min(rest));
            let part = bytes::slice_mut(buf, into, length).unwrap_or_default();
            match self.lookup(grain)? {
                Grain::Hole | Grain::Zero => part.fill(0),
                Grain::At(place) if self.header.compressed && (length as u64) < size => {
                    self.read_part(place, grain, skip, part)?;
                }
                Grain::At(place) => {
                    let piece = Piece {
                        place,
                        grain,
                        skip,
                        into,
                        length,
                    };
                    if !self.continues(&run, &piece) {
                        self.read_run(&run, buf)?;
                        run.clear();
                    }
                    run.push(piece);
                }
            }
            into = into.saturating_add(length);
        }
        self.read_run(&run, buf)
    }

    /// Whether a grain can be fetched together with the run.
    fn continues(&self, run: &[Piece], next: &Piece) -> bool {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return true;
        };
        let Some(gap) = next.place.checked_sub(last.place) else {
            return false;
        };
        let near = if self.header.compressed {
            gap <= self.max_stored()
        } else {
            gap == self.header.grain && next.grain == last.grain.saturating_add(1)
        };
        near && next.place.saturating_sub(first.place) < inflate::MAX_RUN
    }

    /// The most bytes that a compressed grain with its marker may take. Deflate never
    /// needs much more than its input; writers that do worse store nothing but noise.
    fn max_stored(&self) -> u64 {
        (self.header.grain * 2).saturating_add(2 * SECTOR)
    }

    fn read_run(&self, run: &[Piece], buf: &mut [u8]) -> Result<(), DiskError> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return Ok(());
        };
        if self.header.compressed {
            return self
                .workspaces
                .with(|workspace| self.inflate_run(run, buf, workspace));
        }
        let length = last
            .into
            .saturating_add(last.length)
            .saturating_sub(first.into);
        let part = bytes::slice_mut(buf, first.into, length).unwrap_or_default();
        self.file
            .read_at(first.place.saturating_add(first.skip), part, "grains")
    }

    /// Reads part of a compressed grain, and keeps the rest for the next small read.
    fn read_part(
        &self,
        place: u64,
        grain: u64,
        skip: u64,
        part: &mut [u8],
    ) -> Result<(), DiskError> {
        let whole = usize::try_from(self.header.grain).unwrap_or(0);
        let kept = self.grains.get(place, || {
            let mut bytes = vec![0; whole];
            let piece = Piece {
                place,
                grain,
                skip: 0,
                into: 0,
                length: whole,
            };
            self.read_run(&[piece], &mut bytes)?;
            Ok::<_, DiskError>(bytes)
        })?;
        let from = usize::try_from(skip).unwrap_or(usize::MAX);
        if let Some(bytes) = bytes::slice(&kept, from, part.len()) {
            part.copy_from_slice(bytes);
        }
        Ok(())
    }

    /// Fetches the whole grains of a run with one read and inflates each into its place.
    fn inflate_run(
        &self,
        run: &[Piece],
        buf: &mut [u8],
        workspace: &mut Workspace,
    ) -> Result<(), DiskError> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return Ok(());
        };
        // The next grain usually begins where the last one ends.
        let guess = match self.lookup(last.grain.saturating_add(1)) {
            Ok(Grain::At(next)) if next > last.place => next.saturating_sub(last.place),
            _ => self.max_stored(),
        };
        let end = last
            .place
            .saturating_add(guess.min(self.max_stored()))
            .min(self.file.size());
        let length = usize::try_from(end.saturating_sub(first.place)).unwrap_or(0);
        let Workspace {
            decompressor,
            input,
        } = workspace;
        let fetched = inflate::at_least(input, length);
        self.file
            .read_at(first.place, fetched, "compressed grains")?;
        for piece in run {
            let stored = usize::try_from(piece.place.saturating_sub(first.place))
                .ok()
                .and_then(|from| fetched.get(from..))
                .unwrap_or_default();
            let output = bytes::slice_mut(buf, piece.into, piece.length).unwrap_or_default();
            self.inflate_into(piece.place, piece.grain, stored, output, decompressor)?;
        }
        Ok(())
    }

    /// Inflates the grain at byte `place`, whose stored form begins `stored`.
    fn inflate_into(
        &self,
        place: u64,
        grain: u64,
        stored: &[u8],
        output: &mut [u8],
        decompressor: &mut libdeflater::Decompressor,
    ) -> Result<(), DiskError> {
        let corrupt = |what: String| self.file.corrupt(place, what);
        let (Some(sector), Some(length)) = (le64(stored, 0), le32(stored, 8)) else {
            return Err(self.file.truncated(place, MARKER, "the marker of a grain"));
        };
        let expected = grain.saturating_mul(self.header.grain) / SECTOR;
        if sector != expected {
            return Err(corrupt(format!(
                "the marker here is of sector {sector}, the grain table says {expected}"
            )));
        }
        if length == 0 || u64::from(length) > self.max_stored().saturating_sub(MARKER) {
            return Err(corrupt(format!("a compressed grain of {length} bytes")));
        }
        let data_at = place.saturating_add(MARKER);
        let refetched;
        let data = match bytes::slice(stored, MARKER as usize, length as usize) {
            Some(data) => data,
            // Longer than guessed.
            None => {
                refetched = self
                    .file
                    .read_vec(data_at, length.into(), "a compressed grain")?;
                &refetched
            }
        };
        let inflated = decompressor
            .zlib_decompress(data, output)
            .map_err(|error| match error {
                libdeflater::DecompressionError::InsufficientSpace => {
                    corrupt(format!("the grain inflates beyond {} bytes", output.len()))
                }
                libdeflater::DecompressionError::BadData => {
                    corrupt("the compressed data of the grain is damaged".to_owned())
                }
            })?;
        // The last grain may hold only what the disk has.
        let start = grain.saturating_mul(self.header.grain);
        let needed = self
            .header
            .capacity
            .saturating_sub(start)
            .min(self.header.grain);
        if (inflated as u64) < needed {
            return Err(corrupt(format!(
                "the grain inflates to {inflated} bytes, it needs {needed}"
            )));
        }
        if let Some(rest) = output.get_mut(inflated..) {
            rest.fill(0);
        }
        Ok(())
    }

    /// Adds the extents of bytes `from` to `from + length` of this extent, which begins
    /// at guest byte `base`. Returns false once the list is full.
    pub(super) fn push_extents(
        &self,
        list: &mut ExtentList,
        base: u64,
        from: u64,
        length: u64,
    ) -> Result<bool, DiskError> {
        let end = from.saturating_add(length);
        let stored = if self.header.compressed {
            ExtentKind::Compressed
        } else {
            ExtentKind::Data
        };
        let span = self.header.grain * self.header.entries;
        let mut at = from;
        while at < end {
            let table_end = (at / span).saturating_add(1).saturating_mul(span).min(end);
            let Some((table_at, table)) = self.table(at / self.header.grain)? else {
                if !list.push(base.saturating_add(at), table_end - at, ExtentKind::Hole) {
                    return Ok(false);
                }
                at = table_end;
                continue;
            };
            while at < table_end {
                let grain = at / self.header.grain;
                let stop = grain
                    .saturating_add(1)
                    .saturating_mul(self.header.grain)
                    .min(table_end);
                let kind = match self.entry(table_at, &table, grain % self.header.entries)? {
                    Grain::Hole => ExtentKind::Hole,
                    Grain::Zero => ExtentKind::Zero,
                    Grain::At(_) => stored,
                };
                if !list.push(base.saturating_add(at), stop.saturating_sub(at), kind) {
                    return Ok(false);
                }
                at = stop;
            }
        }
        Ok(true)
    }
}
