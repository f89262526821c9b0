//! A window of a disk as a disk: what a partition is to the file system in it.

use crate::image::check_range;
use crate::{DiskError, Extent, Image};
use std::sync::Arc;

/// Bytes `start` to `start + length` of another image. Reads and writes pass through.
#[derive(Clone)]
pub struct Slice {
    image: Arc<dyn Image>,
    start: u64,
    length: u64,
}

impl Slice {
    /// A window of `length` bytes from byte `start` of `image`.
    ///
    /// # Errors
    /// [`DiskError::OutOfRange`] if the window does not end within the image.
    pub fn new(image: Arc<dyn Image>, start: u64, length: u64) -> Result<Self, DiskError> {
        check_range(image.as_ref(), start, length)?;
        Ok(Self {
            image,
            start,
            length,
        })
    }

    /// First byte of the window in the image below.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    fn below(&self, offset: u64, length: u64) -> Result<u64, DiskError> {
        check_range(self, offset, length)?;
        Ok(self.start.saturating_add(offset))
    }
}

impl Image for Slice {
    fn name(&self) -> String {
        format!("{} (part from byte {})", self.image.name(), self.start)
    }

    fn size(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.image
            .read_at(self.below(offset, buf.len() as u64)?, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        self.image
            .write_at(self.below(offset, data.len() as u64)?, data)
    }

    fn writable(&self) -> bool {
        self.image.writable()
    }

    fn flush(&self) -> Result<(), DiskError> {
        self.image.flush()
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>, DiskError> {
        let mut extents = self.image.extents(self.below(offset, length)?, length)?;
        for extent in &mut extents {
            extent.offset = extent.offset.saturating_sub(self.start);
        }
        Ok(extents)
    }
}
