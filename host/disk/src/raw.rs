//! Raw images: the bytes of the disk, nothing else.
//!
//! Holes of a sparse file are told by the file system, so that converting a sparse raw
//! image reads only what is stored.

use crate::folder::SourceFile;
use crate::image::{ExtentList, check_range};
use crate::{DiskError, Extent, ExtentKind, Image};
use std::sync::Arc;

/// A file as a disk.
#[derive(Debug)]
pub(crate) struct RawImage {
    file: Arc<SourceFile>,
}

impl RawImage {
    pub(crate) fn new(file: Arc<SourceFile>) -> Self {
        Self { file }
    }
}

impl Image for RawImage {
    fn name(&self) -> String {
        self.file.path()
    }

    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        check_range(self, offset, buf.len() as u64)?;
        self.file.read_at(offset, buf, "the data of the disk")
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>, DiskError> {
        let end = check_range(self, offset, length)?;
        let mut list = ExtentList::new();
        push_file_extents(&self.file, &mut list, offset, offset, end);
        Ok(list.finish())
    }
}

/// Adds the extents of `file` from byte `from` on to `list` as guest bytes `offset` to
/// `end`. Returns false once the list is full.
pub(crate) fn push_file_extents(
    file: &SourceFile,
    list: &mut ExtentList,
    from: u64,
    offset: u64,
    end: u64,
) -> bool {
    let guest = |at: u64| at.saturating_sub(from).saturating_add(offset);
    let stop = from.saturating_add(end.saturating_sub(offset));
    let mut at = from;
    while at < stop {
        let (data, data_end) = match file.next_data(at) {
            Some((start, data_end)) => (start.min(stop), data_end.min(stop)),
            None => (stop, stop),
        };
        if !list.push(guest(at), data.saturating_sub(at), ExtentKind::Hole)
            || !list.push(guest(data), data_end.saturating_sub(data), ExtentKind::Data)
        {
            return false;
        }
        at = data_end;
    }
    true
}
