//! A small cache of table blocks (qcow2 L2 tables, VMDK grain tables) by file offset.
//!
//! Tables are loaded when a request needs them, so that opening costs the same for every
//! size of disk; conversion walks them in order, so a few are enough.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A table: its offset in the file, and its bytes.
pub(crate) type Table = (u64, Arc<[u8]>);

/// Blocks of bytes by their offset in a file, the least recently used dropped first.
#[derive(Debug)]
pub(crate) struct TableCache {
    capacity: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    clock: u64,
    blocks: HashMap<u64, (u64, Arc<[u8]>)>,
}

impl TableCache {
    /// A cache that keeps about `bytes` bytes of blocks of `block_size`, at least four.
    pub(crate) fn new(bytes: usize, block_size: usize) -> Self {
        Self {
            capacity: (bytes / block_size.max(1)).max(4),
            inner: Mutex::default(),
        }
    }

    /// The block at `offset`, loaded with `load` if it is not there. Two threads may load
    /// the same block at once; that is cheaper than waiting for each other's I/O.
    pub(crate) fn get<E>(
        &self,
        offset: u64,
        load: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Arc<[u8]>, E> {
        {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.clock += 1;
            let clock = inner.clock;
            if let Some((used, block)) = inner.blocks.get_mut(&offset) {
                *used = clock;
                return Ok(Arc::clone(block));
            }
        }
        let block: Arc<[u8]> = load()?.into();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.blocks.len() >= self.capacity {
            let oldest = inner
                .blocks
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(offset, _)| *offset);
            if let Some(oldest) = oldest {
                inner.blocks.remove(&oldest);
            }
        }
        let clock = inner.clock;
        inner.blocks.insert(offset, (clock, Arc::clone(&block)));
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_block_goes_first() {
        let cache = TableCache::new(4, 1);
        let mut loads = 0;
        let mut get = |offset: u64| {
            let mut loaded = false;
            cache
                .get::<()>(offset, || {
                    loaded = true;
                    Ok(vec![offset as u8])
                })
                .map(|block| assert_eq!(block[0], offset as u8))
                .unwrap();
            loads += usize::from(loaded);
            loaded
        };
        assert!((0..4).all(&mut get));
        assert!(!get(0));
        assert!(get(4), "a fifth block");
        assert!(!get(0), "used recently");
        assert!(get(1), "dropped for the fifth");
        assert_eq!(loads, 6);
    }
}
