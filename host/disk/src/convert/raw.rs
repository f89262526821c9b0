//! Writing a raw target: every cluster at its own offset, zeros left out.

use super::checkpointer::Checkpointer;
use super::plan::Batch;
use super::target::PartFile;
use super::worker::{Clusters, Sink};
use crate::DiskError;

pub(super) struct RawSink<'a> {
    file: &'a PartFile,
    checkpoints: Option<&'a Checkpointer<'a>>,
}

impl<'a> RawSink<'a> {
    pub(super) fn new(
        file: &'a PartFile,
        size: u64,
        checkpoints: Option<&'a Checkpointer<'a>>,
    ) -> Result<Self, DiskError> {
        file.set_len(size)?;
        Ok(Self { file, checkpoints })
    }
}

impl Sink for RawSink<'_> {
    fn write(&self, batch: &Batch, clusters: &mut Clusters) -> Result<(), DiskError> {
        if let Some(checkpoints) = self.checkpoints {
            // There is nothing to know but the position.
            checkpoints.offer(batch, || (batch.end(), Vec::new()));
        }
        // What lies behind the end of the disk in the last cluster is zero, and cut off
        // when the file gets its length.
        for (offset, bytes) in clusters.runs() {
            self.file.write(offset, bytes)?;
        }
        Ok(())
    }
}
