//! Buffers that `O_DIRECT` accepts.

use crate::bytes;

/// Alignment of memory, offsets and lengths that every file system's `O_DIRECT` takes.
pub(super) const ALIGNMENT: usize = 4096;

/// A fixed number of zeroed bytes that begin at a multiple of [`ALIGNMENT`].
pub(super) struct AlignedBuffer {
    /// Never grows, so its bytes never move.
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl AlignedBuffer {
    pub(super) fn new(length: usize) -> Self {
        let bytes = vec![0; length.saturating_add(ALIGNMENT)];
        let start = bytes.as_ptr().align_offset(ALIGNMENT);
        Self {
            bytes,
            // `align_offset` may give up; then writes are slower, not wrong.
            start: if start < ALIGNMENT { start } else { 0 },
            length,
        }
    }

    pub(super) fn get(&self) -> &[u8] {
        bytes::slice(&self.bytes, self.start, self.length).unwrap_or_default()
    }

    pub(super) fn get_mut(&mut self) -> &mut [u8] {
        bytes::slice_mut(&mut self.bytes, self.start, self.length).unwrap_or_default()
    }
}
