//! Writing a qcow2 target, version 3.
//!
//! Source: `docs/interop/qcow2.txt` of QEMU. Clusters of 64 KiB, 16-bit reference counts.
//!
//! Space is given out front to back in the order of the disk, whatever the number of
//! threads, so the same source makes the same file: a thread compresses on its own, takes
//! its turn to allocate, and writes outside of it. Tables are written as soon as they are
//! complete and the rest at the end, the header last, so memory does not grow with the
//! disk: an L2 table is complete when the copy has passed its 512 MiB, a reference count
//! block when allocation has passed its 2 GiB.

use super::checkpointer::Checkpointer;
use super::layout::{Layout, Write};
use super::plan::{Batch, CLUSTER};
use super::target::PartFile;
use super::worker::{Clusters, Sink, Turnstile};
use crate::DiskError;
use libdeflater::{CompressionLvl, Compressor};
use std::sync::{Mutex, PoisonError};

/// The most bytes of disk that a 32 MiB L1 table, QEMU's limit, can map.
pub(super) const MAX_SIZE: u64 = (32 << 20) / 8 * (CLUSTER / 8) * CLUSTER;

pub(super) struct Qcow2Sink<'a> {
    file: &'a PartFile,
    level: Option<CompressionLvl>,
    compressors: Mutex<Vec<Compressor>>,
    layout: Mutex<Layout>,
    turnstile: Turnstile,
    checkpoints: Option<&'a Checkpointer<'a>>,
}

impl<'a> Qcow2Sink<'a> {
    /// A sink that goes on with `layout` at the batch `number`, compressing if there is a
    /// level.
    pub(super) fn new(
        file: &'a PartFile,
        (layout, number): (Layout, u64),
        level: Option<CompressionLvl>,
        checkpoints: Option<&'a Checkpointer<'a>>,
    ) -> Self {
        Self {
            file,
            level,
            compressors: Mutex::default(),
            layout: Mutex::new(layout),
            turnstile: Turnstile::starting_at(number),
            checkpoints,
        }
    }

    /// Writes the tables and the header. Returns the length of the file.
    pub(super) fn finish(self) -> Result<u64, DiskError> {
        let layout = self
            .layout
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let (writes, length) = layout.finish();
        for Write { offset, buffer } in writes {
            self.file.write(offset, buffer.get())?;
        }
        Ok(length)
    }

    fn with_layout<R>(
        &self,
        batch: &Batch,
        allocate: impl FnOnce(&mut Layout) -> R,
    ) -> Result<(R, Vec<Write>), DiskError> {
        let _pass = self.turnstile.wait(batch.number)?;
        let mut layout = self.layout.lock().unwrap_or_else(PoisonError::into_inner);
        let result = allocate(&mut layout);
        let writes = layout.take_writes();
        if let Some(checkpoints) = self.checkpoints {
            checkpoints.offer(batch, || (layout.written(), layout.encode()));
        }
        Ok((result, writes))
    }

    fn write_plain(&self, batch: &Batch, clusters: &Clusters) -> Result<Vec<Write>, DiskError> {
        let (host, writes) = self.with_layout(batch, |layout| layout.place(clusters.offsets()))?;
        if let Some(host) = host {
            self.file.write(host, clusters.bytes())?;
        }
        Ok(writes)
    }

    fn write_compressed(
        &self,
        batch: &Batch,
        clusters: &Clusters,
        level: CompressionLvl,
    ) -> Result<Vec<Write>, DiskError> {
        let kept = self
            .compressors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut compressor = kept.unwrap_or_else(|| Compressor::new(level));
        // A cluster that does not become at least a sector smaller is stored as it is.
        let mut output = vec![0; CLUSTER as usize - 512];
        let packed: Vec<Option<Vec<u8>>> = (0..clusters.offsets().len())
            .map(|index| {
                let length = compressor
                    .deflate_compress(clusters.clusters(index, 1), &mut output)
                    .ok()?;
                output.get(..length).map(<[u8]>::to_vec)
            })
            .collect();
        self.compressors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(compressor);
        let (plain, writes) = self.with_layout(batch, |layout| {
            let mut plain = Vec::new();
            for (index, (packed, offset)) in packed.iter().zip(clusters.offsets()).enumerate() {
                match packed {
                    Some(packed) => layout.pack(*offset, packed),
                    None => plain.extend(layout.place(&[*offset]).map(|host| (index, host))),
                }
            }
            plain
        })?;
        // Neighbours here that are neighbours there are written at once.
        let follows = |one: &(usize, u64), two: &(usize, u64)| {
            one.0.saturating_add(1) == two.0 && one.1.saturating_add(CLUSTER) == two.1
        };
        for run in plain.chunk_by(follows) {
            if let Some((index, host)) = run.first() {
                self.file
                    .write(*host, clusters.clusters(*index, run.len()))?;
            }
        }
        Ok(writes)
    }
}

impl Sink for Qcow2Sink<'_> {
    fn write(&self, batch: &Batch, clusters: &mut Clusters) -> Result<(), DiskError> {
        let writes = match self.level {
            None => self.write_plain(batch, clusters)?,
            Some(level) => self.write_compressed(batch, clusters, level)?,
        };
        for Write { offset, buffer } in writes {
            self.file.write(offset, buffer.get())?;
        }
        Ok(())
    }

    fn abort(&self) {
        self.turnstile.abort();
    }
}
