//! Writing a raw target: every cluster at its own offset, zeros left out.

use super::plan::Batch;
use super::target::PartFile;
use super::worker::{Clusters, Sink};
use crate::DiskError;

pub(super) struct RawSink<'a> {
    file: &'a PartFile,
}

impl<'a> RawSink<'a> {
    pub(super) fn new(file: &'a PartFile, size: u64) -> Result<Self, DiskError> {
        file.set_len(size)?;
        Ok(Self { file })
    }
}

impl Sink for RawSink<'_> {
    fn write(&self, _batch: &Batch, clusters: &mut Clusters) -> Result<(), DiskError> {
        // What lies behind the end of the disk in the last cluster is zero, and cut off
        // when the file gets its length.
        for (offset, bytes) in clusters.runs() {
            self.file.write(offset, bytes)?;
        }
        Ok(())
    }
}
