//! What a disk is to the rest of the program: a number of bytes that can be read at
//! any offset, and a map of which of them are worth reading.
//!
//! Formats, overlays, partitions and disks decoded by plugins are all an [`Image`], so
//! converting, comparing and mounting never know what lies below. All methods take
//! `&self` and may be called from many threads at once: that is what makes conversion
//! parallel without the formats knowing about threads.

use crate::DiskError;
use serde::Serialize;

/// The most extents that one call of [`Image::extents`] returns. A few bytes of table
/// can describe billions of extents, so the answer must not follow the table.
pub const MAX_EXTENTS: usize = 16_384;

/// What is known about a range of bytes without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExtentKind {
    /// Stored as is; may hold zeros nevertheless.
    Data,
    /// Recorded as zeros; reading gives zeros.
    Zero,
    /// Not allocated; reading gives zeros.
    Hole,
    /// Stored compressed; reading costs processor time.
    Compressed,
}

impl ExtentKind {
    /// Whether every byte of such an extent is zero, so that it need not be read.
    #[must_use]
    pub fn reads_as_zero(self) -> bool {
        matches!(self, Self::Zero | Self::Hole)
    }
}

/// A range of bytes of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Extent {
    /// First byte, from the start of the image.
    pub offset: u64,
    /// Length in bytes, never zero.
    pub length: u64,
    /// What is there.
    pub kind: ExtentKind,
}

impl Extent {
    /// First byte after the extent.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}

/// An open disk of fixed virtual size.
pub trait Image: Send + Sync {
    /// What the disk is called in errors: the file name where there is one.
    fn name(&self) -> String {
        "disk image".to_owned()
    }

    /// Virtual size in bytes. Any value, also one that is no multiple of a sector.
    fn size(&self) -> u64;

    /// Fills `buf` with the bytes from `offset` on.
    ///
    /// Large buffers are faster: neighbouring clusters are fetched and inflated together.
    ///
    /// # Errors
    /// [`DiskError::OutOfRange`] if the range does not end within [`Image::size`];
    /// otherwise what the format finds. `buf` is undefined after an error.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError>;

    /// Writes all of `data` at `offset`.
    ///
    /// # Errors
    /// [`DiskError::ReadOnly`] unless the image takes writes (an overlay does).
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        let _ = (offset, data);
        Err(DiskError::ReadOnly { file: self.name() })
    }

    /// Whether [`Image::write_at`] can succeed.
    fn writable(&self) -> bool {
        false
    }

    /// Makes what was written durable, as far as the image is meant to last.
    ///
    /// # Errors
    /// What the operating system says.
    fn flush(&self) -> Result<(), DiskError> {
        Ok(())
    }

    /// The kinds of the bytes from `offset` on: ascending, without gaps, neighbours of
    /// different kind, beginning at `offset` and ending at `offset + length` at the
    /// latest. The answer stops earlier after [`MAX_EXTENTS`] entries, never before the
    /// first (unless `length` is 0): go on at the end of the last one, or use
    /// [`ExtentWalk`], which does.
    ///
    /// # Errors
    /// [`DiskError::OutOfRange`] if the range does not end within [`Image::size`];
    /// otherwise what the format finds in its tables.
    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>, DiskError>;
}

/// Checks a request against a size.
///
/// # Errors
/// [`DiskError::OutOfRange`] unless `offset + length <= size`.
pub(crate) fn check_range(image: &dyn Image, offset: u64, length: u64) -> Result<u64, DiskError> {
    let size = image.size();
    match offset.checked_add(length) {
        Some(end) if end <= size => Ok(end),
        _ => Err(DiskError::OutOfRange {
            file: image.name(),
            offset,
            length,
            size,
        }),
    }
}

/// Collects extents for an answer: merges neighbours of the same kind and stops at
/// [`MAX_EXTENTS`].
#[derive(Debug, Default)]
pub struct ExtentList {
    extents: Vec<Extent>,
}

impl ExtentList {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a range that begins where the last one ended. Returns false, and takes
    /// nothing, if the list is full. A `length` of 0 is ignored.
    pub fn push(&mut self, offset: u64, length: u64, kind: ExtentKind) -> bool {
        if length == 0 {
            return true;
        }
        if let Some(last) = self.extents.last_mut()
            && last.kind == kind
        {
            last.length = last.length.saturating_add(length);
            return true;
        }
        if self.extents.len() >= MAX_EXTENTS {
            return false;
        }
        self.extents.push(Extent {
            offset,
            length,
            kind,
        });
        true
    }

    /// The finished answer.
    #[must_use]
    pub fn finish(self) -> Vec<Extent> {
        self.extents
    }
}

/// Walks all extents of a range in order, asking the image again where an answer stops
/// early, and merging neighbours of the same kind across answers.
pub struct ExtentWalk<'a> {
    image: &'a dyn Image,
    next: u64,
    end: u64,
    answer: std::vec::IntoIter<Extent>,
    held: Option<Extent>,
}

impl<'a> ExtentWalk<'a> {
    /// Walks `length` bytes from `offset`. A range beyond the end of the image shows as
    /// an error of the first step.
    #[must_use]
    pub fn new(image: &'a dyn Image, offset: u64, length: u64) -> Self {
        Self {
            image,
            next: offset,
            end: offset.saturating_add(length),
            answer: Vec::new().into_iter(),
            held: None,
        }
    }

    /// Walks the whole image.
    #[must_use]
    pub fn whole(image: &'a dyn Image) -> Self {
        Self::new(image, 0, image.size())
    }

    fn next_unmerged(&mut self) -> Result<Option<Extent>, DiskError> {
        if let Some(extent) = self.answer.next() {
            self.next = extent.end();
            return Ok(Some(extent));
        }
        if self.next >= self.end {
            return Ok(None);
        }
        self.answer = self
            .image
            .extents(self.next, self.end.saturating_sub(self.next))?
            .into_iter();
        let first = self.answer.next().ok_or_else(|| {
            DiskError::corrupt(
                self.image.name(),
                self.next,
                "the image describes no bytes here",
            )
        })?;
        self.next = first.end();
        Ok(Some(first))
    }
}

impl Iterator for ExtentWalk<'_> {
    type Item = Result<Extent, DiskError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_unmerged() {
                Ok(Some(extent)) => match &mut self.held {
                    Some(held) if held.kind == extent.kind => {
                        held.length = held.length.saturating_add(extent.length);
                    }
                    held => {
                        if let Some(done) = held.replace(extent) {
                            return Some(Ok(done));
                        }
                    }
                },
                Ok(None) => return self.held.take().map(Ok),
                Err(error) => {
                    self.end = 0;
                    self.held = None;
                    self.answer = Vec::new().into_iter();
                    return Some(Err(error));
                }
            }
        }
    }
}
