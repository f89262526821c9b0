//! A layout as bytes, so that a conversion can be taken up again.

use super::{COUNTS, ENTRIES, Layout, REGION, Region};
use crate::convert::buffer::AlignedBuffer;
use crate::convert::checkpoint::Reader;
use crate::convert::plan::CLUSTER;

/// More clusters than a file can have, so that offsets computed from them do not overflow.
const MOST_CLUSTERS: u64 = 1 << 46;
/// More blocks than can be open at once; a hostile number must not make memory.
const MOST_OPEN: u64 = 64;

impl Layout {
    /// Everything but what has still to be written by the caller, who must have taken it.
    pub(in crate::convert) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut number = |value: u64| out.extend(value.to_le_bytes());
        number(self.size);
        number(self.next);
        number(self.l1.len() as u64);
        self.l1.iter().for_each(|entry| number(*entry));
        number(self.count_table.len() as u64);
        self.count_table.iter().for_each(|entry| number(*entry));
        number(self.l2.is_some().into());
        if let Some((index, table)) = &self.l2 {
            out.extend(index.to_le_bytes());
            out.extend(table.get());
        }
        out.extend((self.counts.len() as u64).to_le_bytes());
        for (index, block) in &self.counts {
            out.extend(index.to_le_bytes());
            out.extend(block.get());
        }
        out.extend(u64::from(self.region.is_some()).to_le_bytes());
        if let Some(region) = &self.region {
            out.extend(region.start.to_le_bytes());
            out.extend((region.used as u64).to_le_bytes());
            out.extend(region.buffer.get().get(..region.used).unwrap_or_default());
        }
        out
    }

    /// The layout of a disk of `size` bytes that was encoded; nothing if it is none.
    pub(in crate::convert) fn decode(state: &[u8], size: u64) -> Option<Self> {
        let mut reader = Reader::new(state);
        let mut this = Self::new(size);
        this.counts.clear();
        if reader.u64()? != size {
            return None;
        }
        this.next = reader.u64().filter(|next| *next <= MOST_CLUSTERS)?;
        if reader.u64()? != this.l1.len() as u64 {
            return None;
        }
        for entry in &mut this.l1 {
            *entry = reader.u64()?;
        }
        let blocks = reader.u64()?;
        if blocks > this.next.div_ceil(COUNTS) {
            return None;
        }
        for _ in 0..blocks {
            this.count_table.push(reader.u64()?);
        }
        if flag(&mut reader)? {
            let index = reader.u64()?;
            if index >= size.div_ceil(CLUSTER).div_ceil(ENTRIES) {
                return None;
            }
            this.l2 = Some((index, block(&mut reader)?));
        }
        let open = reader.u64().filter(|open| *open <= MOST_OPEN)?;
        for _ in 0..open {
            let index = reader.u64()?;
            if index > this.next / COUNTS {
                return None;
            }
            this.counts.insert(index, block(&mut reader)?);
        }
        if flag(&mut reader)? {
            let start = reader.u64()?;
            let used = usize::try_from(reader.u64()?).ok()?;
            let mut buffer = AlignedBuffer::new((REGION * CLUSTER) as usize);
            if start > this.next.checked_sub(REGION)? {
                return None;
            }
            buffer
                .get_mut()
                .get_mut(..used)?
                .copy_from_slice(reader.take(used)?);
            this.region = Some(Region {
                start,
                buffer,
                used,
            });
        }
        reader.is_empty().then_some(this)
    }

    /// Bytes of the file in front of which everything that was given out is written, but
    /// for [`Layout::open_region`].
    pub(in crate::convert) fn written(&self) -> u64 {
        let last = self
            .region
            .as_ref()
            .filter(|region| region.start + REGION == self.next)
            .map_or(self.next, |region| region.start);
        last * CLUSTER
    }

    /// Offset and length in the file of what is being filled in memory.
    pub(in crate::convert) fn open_region(&self) -> Option<(u64, u64)> {
        let region = self.region.as_ref()?;
        Some((region.start * CLUSTER, REGION * CLUSTER))
    }
}

fn flag(reader: &mut Reader<'_>) -> Option<bool> {
    match reader.u64()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn block(reader: &mut Reader<'_>) -> Option<AlignedBuffer> {
    let mut buffer = AlignedBuffer::new(CLUSTER as usize);
    buffer
        .get_mut()
        .copy_from_slice(reader.take(CLUSTER as usize)?);
    Some(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::layout::Write;

    const SIZE: u64 = 3 << 30;

    /// Lays out the clusters from number `from` on, some packed, some not.
    fn go_on(layout: &mut Layout, from: u64, to: u64) -> Vec<(u64, Vec<u8>)> {
        for cluster in from..to {
            let guest = cluster * 11 * CLUSTER;
            if cluster % 3 == 0 {
                layout.place(&[guest]);
            } else {
                let length = 1 + (cluster as usize * 7919) % 60_000;
                layout.pack(guest, &vec![cluster as u8; length]);
            }
        }
        let writes = layout.take_writes();
        writes
            .into_iter()
            .map(|Write { offset, buffer }| (offset, buffer.get().to_vec()))
            .collect()
    }

    #[test]
    fn a_layout_that_was_written_down_goes_on_as_it_would_have() {
        const END: u64 = 4000;
        let finish = |layout: Layout| {
            let (writes, length) = layout.finish();
            let writes: Vec<_> = writes
                .into_iter()
                .map(|Write { offset, buffer }| (offset, buffer.get().to_vec()))
                .collect();
            (writes, length)
        };
        for cut in [0, 1, 2, 3, 500, 745, 746, 3999, END] {
            let mut straight = Layout::new(SIZE);
            go_on(&mut straight, 0, cut);
            let state = straight.encode();
            let mut resumed = Layout::decode(&state, SIZE).unwrap();
            assert_eq!(resumed.encode(), state);
            assert_eq!(
                go_on(&mut resumed, cut, END),
                go_on(&mut straight, cut, END),
                "{cut}"
            );
            assert!(finish(resumed) == finish(straight), "{cut}");
        }
    }

    #[test]
    fn what_is_no_layout_is_refused() {
        let mut layout = Layout::new(SIZE);
        go_on(&mut layout, 0, 100);
        let state = layout.encode();
        assert!(Layout::decode(&state, SIZE).is_some());
        assert!(Layout::decode(&state, SIZE + 512).is_none());
        for length in [0, 7, 8, 16, 24, 100, state.len() - 1] {
            assert!(Layout::decode(&state[..length], SIZE).is_none(), "{length}");
        }
        // Numbers at every place where one is read, with the largest value.
        for at in [0, 8, 16] {
            let mut wrong = state.clone();
            wrong[at..at + 8].fill(0xff);
            assert!(Layout::decode(&wrong, SIZE).is_none(), "{at}");
        }
    }
}
