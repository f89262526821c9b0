//! Copy-on-write: a writable disk over a read-only one.
//!
//! A migration is rehearsed on an overlay before anyone approves it, so that the source
//! is never written. Changed blocks live in a sparse scratch file at their own offset;
//! which blocks those are is an interval map in memory. Nothing else is needed, because
//! an overlay lives as long as its process: the scratch file has no name and vanishes
//! with the last handle, also after a kill.
//!
//! Limits: blocks of [`BLOCK`] bytes, so a smaller write first copies the rest of its
//! blocks; one writer at a time; the disk may not be larger than the largest file of the
//! scratch folder's file system.

use crate::image::{ExtentList, check_range};
use crate::{DiskError, Extent, ExtentKind, ExtentWalk, Image};
use rustix::fs::FallocateFlags;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Granularity of changes in bytes.
pub const BLOCK: u64 = 4096;

/// A range of bytes of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct ByteRange {
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
}

/// What an overlay holds for a range of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// The scratch file has the bytes.
    Written,
    /// The bytes are zero.
    Zeroed,
}

/// Changed ranges by first byte: `(end, change)`. Never overlapping, never adjacent with
/// the same change; first bytes are multiples of [`BLOCK`], ends too except at the end of
/// the disk.
type Changes = BTreeMap<u64, (u64, Change)>;

/// A writable image over another one.
pub struct Overlay {
    base: Arc<dyn Image>,
    scratch: File,
    folder: PathBuf,
    changes: RwLock<Changes>,
}

impl Overlay {
    /// An overlay without changes. Its scratch file is made in `folder` and has no name
    /// there.
    ///
    /// # Errors
    /// [`DiskError::NotFound`], [`DiskError::NoSpace`] or [`DiskError::Io`] for the folder.
    pub fn new(base: Arc<dyn Image>, folder: impl AsRef<Path>) -> Result<Self, DiskError> {
        let folder = folder.as_ref();
        let fail = |error| DiskError::io(folder, None, error);
        let scratch = tempfile::tempfile_in(folder).map_err(fail)?;
        scratch.set_len(base.size()).map_err(fail)?;
        Ok(Self {
            base,
            scratch,
            folder: folder.to_owned(),
            changes: RwLock::default(),
        })
    }

    /// The image below.
    #[must_use]
    pub fn base(&self) -> &Arc<dyn Image> {
        &self.base
    }

    /// The ranges that were written or zeroed, ascending and not adjacent, in whole blocks.
    #[must_use]
    pub fn changed_ranges(&self) -> Vec<ByteRange> {
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        let mut ranges: Vec<ByteRange> = Vec::new();
        for (&start, &(end, _)) in changes.iter() {
            match ranges.last_mut() {
                Some(last) if last.offset.saturating_add(last.length) == start => {
                    last.length = end.saturating_sub(last.offset);
                }
                _ => ranges.push(ByteRange {
                    offset: start,
                    length: end.saturating_sub(start),
                }),
            }
        }
        ranges
    }

    /// Bytes that the changes take in the scratch file.
    #[must_use]
    pub fn scratch_bytes(&self) -> u64 {
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        changes
            .iter()
            .filter(|(_, (_, change))| *change == Change::Written)
            .map(|(start, (end, _))| end.saturating_sub(*start))
            .sum()
    }

    /// Makes `length` bytes from `offset` zero without storing them. Whole blocks cost
    /// nothing; the edges are written.
    ///
    /// # Errors
    /// As [`Image::write_at`].
    pub fn write_zeroes(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        let end = check_range(self, offset, length)?;
        let size = self.size();
        let inner_start = offset.next_multiple_of(BLOCK).min(end);
        let inner_end = if end == size { end } else { floor(end) }.max(inner_start);
        let mut changes = self.changes.write().unwrap_or_else(PoisonError::into_inner);
        let zeros = [0; BLOCK as usize];
        for (from, to) in [(offset, inner_start), (inner_end, end)] {
            // Both edges are shorter than a block.
            let length = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
            if let Some(edge) = zeros.get(..length).filter(|edge| !edge.is_empty()) {
                self.write_locked(&mut changes, from, edge)?;
            }
        }
        if inner_start < inner_end {
            // Only to give the space back; that they read as zeros is in the map.
            let _ = rustix::fs::fallocate(
                &self.scratch,
                FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
                inner_start,
                inner_end.saturating_sub(inner_start),
            );
            mark(&mut changes, inner_start, inner_end, Change::Zeroed);
        }
        Ok(())
    }

    fn fail(&self, offset: u64) -> impl Fn(std::io::Error) -> DiskError {
        let path = self.folder.join("(overlay)");
        move |error| DiskError::io(&path, Some(offset), error)
    }

    fn write_locked(
        &self,
        changes: &mut Changes,
        offset: u64,
        data: &[u8],
    ) -> Result<(), DiskError> {
        let size = self.size();
        let end = offset.saturating_add(data.len() as u64);
        let (start, stop) = (floor(offset), end.next_multiple_of(BLOCK).min(size));
        // The rest of the first and of the last block, as they are now.
        let mut edges = [0; BLOCK as usize];
        for (from, to) in [(start, offset), (end, stop)] {
            let length = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
            let Some(edge) = edges.get_mut(..length).filter(|edge| !edge.is_empty()) else {
                continue;
            };
            if self.is_written(changes, from) {
                continue;
            }
            self.read_locked(changes, from, edge)?;
            self.scratch
                .write_all_at(edge, from)
                .map_err(self.fail(from))?;
        }
        self.scratch
            .write_all_at(data, offset)
            .map_err(self.fail(offset))?;
        mark(changes, start, stop, Change::Written);
        Ok(())
    }

    fn is_written(&self, changes: &Changes, at: u64) -> bool {
        changes
            .range(..=at)
            .next_back()
            .is_some_and(|(_, &(end, change))| at < end && change == Change::Written)
    }

    fn read_locked(
        &self,
        changes: &Changes,
        offset: u64,
        mut buf: &mut [u8],
    ) -> Result<(), DiskError> {
        let end = offset.saturating_add(buf.len() as u64);
        for (from, to, change) in pieces(changes, offset, end) {
            let length = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
            let Some((part, rest)) = buf.split_at_mut_checked(length) else {
                break;
            };
            match change {
                None => self.base.read_at(from, part)?,
                Some(Change::Zeroed) => part.fill(0),
                Some(Change::Written) => self
                    .scratch
                    .read_exact_at(part, from)
                    .map_err(self.fail(from))?,
            }
            buf = rest;
        }
        Ok(())
    }
}

fn floor(at: u64) -> u64 {
    at.saturating_sub(at % BLOCK)
}

/// Cuts `start..end` along the changes: `(from, to, change)` in order, without gaps.
fn pieces(
    changes: &Changes,
    start: u64,
    end: u64,
) -> impl Iterator<Item = (u64, u64, Option<Change>)> + '_ {
    let mut at = start;
    let first = changes
        .range(..=start)
        .next_back()
        .filter(|(_, (stop, _))| *stop > start)
        .map_or(start, |(first, _)| *first);
    let mut following = changes.range(first..end).peekable();
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let from = at;
        let (to, change) = match following.peek() {
            Some((first, _)) if **first > from => (**first, None),
            Some((_, (stop, change))) => {
                let piece = (*stop, Some(*change));
                following.next();
                piece
            }
            None => (end, None),
        };
        at = to.min(end);
        Some((from, at, change))
    })
}

/// Records `change` for `start..end`, over whatever was recorded there.
fn mark(changes: &mut Changes, mut start: u64, mut end: u64, change: Change) {
    if start >= end {
        return;
    }
    // What begins before and reaches into or up to the range.
    if let Some((&first, &(stop, kind))) = changes.range(..start).next_back()
        && stop >= start
    {
        if kind == change {
            start = first;
        } else {
            changes.insert(first, (start, kind));
        }
        if stop > end {
            if kind == change {
                end = stop;
            } else {
                changes.insert(end, (stop, kind));
            }
        }
    }
    while let Some((&first, &(stop, kind))) = changes.range(start..=end).next() {
        if first == end && kind != change {
            break;
        }
        changes.remove(&first);
        if stop > end {
            if kind == change {
                end = stop;
            } else {
                changes.insert(end, (stop, kind));
                break;
            }
        }
    }
    changes.insert(start, (end, change));
}

impl Image for Overlay {
    fn name(&self) -> String {
        format!("overlay over {}", self.base.name())
    }

    fn size(&self) -> u64 {
        self.base.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        check_range(self, offset, buf.len() as u64)?;
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        self.read_locked(&changes, offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        check_range(self, offset, data.len() as u64)?;
        if data.is_empty() {
            return Ok(());
        }
        let mut changes = self.changes.write().unwrap_or_else(PoisonError::into_inner);
        self.write_locked(&mut changes, offset, data)
    }

    fn writable(&self) -> bool {
        true
    }

    /// Does nothing: a scratch file that has no name cannot outlive the process anyway.
    fn flush(&self) -> Result<(), DiskError> {
        Ok(())
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>, DiskError> {
        let end = check_range(self, offset, length)?;
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        let mut list = ExtentList::new();
        'pieces: for (from, to, change) in pieces(&changes, offset, end) {
            let kind = match change {
                Some(Change::Written) => ExtentKind::Data,
                Some(Change::Zeroed) => ExtentKind::Zero,
                None => {
                    let length = to.saturating_sub(from);
                    for extent in ExtentWalk::new(self.base.as_ref(), from, length) {
                        let extent = extent?;
                        if !list.push(extent.offset, extent.length, extent.kind) {
                            break 'pieces;
                        }
                    }
                    continue;
                }
            };
            if !list.push(from, to.saturating_sub(from), kind) {
                break;
            }
        }
        Ok(list.finish())
    }
}
