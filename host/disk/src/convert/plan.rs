//! What is to be copied, in batches.
//!
//! Extents that read as zero are passed over here, so that an empty disk of any size
//! costs nothing; what remains is handed out in order, up to [`BATCH`] bytes at a time,
//! however scattered.

use crate::{DiskError, ExtentWalk, Image};

/// Unit of copying and of allocation in the target, in bytes.
pub(super) const CLUSTER: u64 = 64 * 1024;
/// Bytes of a batch at most.
pub(super) const BATCH: u64 = 2 << 20;

/// Bytes of the disk that follow each other. Begins at a multiple of [`CLUSTER`] and ends
/// at one or at the end of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Work for one thread.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// Counts from 0 in the order of the disk.
    pub(super) number: u64,
    /// Ascending, together at most [`BATCH`] bytes counted in whole clusters.
    pub(super) pieces: Vec<Piece>,
}

impl Batch {
    /// First byte of the disk behind the batch.
    pub(super) fn end(&self) -> u64 {
        self.pieces
            .last()
            .map_or(0, |piece| piece.offset.saturating_add(piece.length))
    }
}

/// Hands out the batches of a disk.
pub(super) struct Planner<'a> {
    walk: ExtentWalk<'a>,
    size: u64,
    /// All before this is handed out or known to be zero.
    planned: u64,
    rest: Option<Piece>,
    number: u64,
}

impl<'a> Planner<'a> {
    /// From `position`, where the batch `number` begins; both are 0 for the whole disk.
    pub(super) fn new(source: &'a dyn Image, position: u64, number: u64) -> Self {
        let size = source.size();
        let position = position.min(size);
        Self {
            walk: ExtentWalk::new(source, position, size.saturating_sub(position)),
            size,
            planned: position,
            rest: None,
            number,
        }
    }

    /// The next range that has to be read, in whole clusters.
    fn next_piece(&mut self) -> Result<Option<Piece>, DiskError> {
        if let Some(rest) = self.rest.take() {
            return Ok(Some(rest));
        }
        for extent in &mut self.walk {
            let extent = extent?;
            if extent.kind.reads_as_zero() {
                continue;
            }
            let start = (extent.offset / CLUSTER * CLUSTER).max(self.planned);
            let end = extent
                .end()
                .div_ceil(CLUSTER)
                .saturating_mul(CLUSTER)
                .min(self.size);
            if start < end {
                return Ok(Some(Piece {
                    offset: start,
                    length: end.saturating_sub(start),
                }));
            }
        }
        Ok(None)
    }

    /// The next batch, or nothing at the end of the disk.
    pub(super) fn next(&mut self) -> Result<Option<Batch>, DiskError> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut room = BATCH;
        while room > 0 {
            let Some(mut piece) = self.next_piece()? else {
                break;
            };
            if piece.length > room {
                self.rest = Some(Piece {
                    offset: piece.offset.saturating_add(room),
                    length: piece.length.saturating_sub(room),
                });
                piece.length = room;
            }
            self.planned = piece.offset.saturating_add(piece.length);
            room = room.saturating_sub(piece.length.next_multiple_of(CLUSTER));
            match pieces.last_mut() {
                Some(last) if last.offset.saturating_add(last.length) == piece.offset => {
                    last.length = last.length.saturating_add(piece.length);
                }
                _ => pieces.push(piece),
            }
        }
        if pieces.is_empty() {
            return Ok(None);
        }
        let number = self.number;
        self.number = self.number.saturating_add(1);
        Ok(Some(Batch { number, pieces }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Extent, ExtentKind, ExtentList};

    /// A disk of which only the extents matter.
    struct Sketch(u64, Vec<(u64, u64)>);

    impl Image for Sketch {
        fn size(&self) -> u64 {
            self.0
        }

        fn read_at(&self, _: u64, _: &mut [u8]) -> Result<(), DiskError> {
            unreachable!("planning reads nothing")
        }

        fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>, DiskError> {
            let mut list = ExtentList::new();
            let mut at = offset;
            for &(start, end) in &self.1 {
                let (start, end) = (start.max(offset), end.min(offset + length));
                if start < end {
                    list.push(at, start - at, ExtentKind::Hole);
                    list.push(start, end - start, ExtentKind::Data);
                    at = end;
                }
            }
            list.push(at, offset + length - at, ExtentKind::Hole);
            Ok(list.finish())
        }
    }

    fn plan(sketch: &Sketch) -> Vec<Vec<(u64, u64)>> {
        let mut planner = Planner::new(sketch, 0, 0);
        let mut all = Vec::new();
        while let Some(batch) = planner.next().unwrap() {
            assert_eq!(batch.number, all.len() as u64);
            all.push(batch.pieces.iter().map(|p| (p.offset, p.length)).collect());
        }
        all
    }

    #[test]
    fn data_is_rounded_to_clusters_once_and_zeros_cost_nothing() {
        const C: u64 = CLUSTER;
        assert!(plan(&Sketch(u64::MAX, vec![])).is_empty());
        assert!(plan(&Sketch(0, vec![])).is_empty());
        let scattered = Sketch(
            10 * C + 5,
            vec![
                (1, 2),
                (3, 4),
                (C - 1, C + 1),
                (5 * C, 6 * C),
                (10 * C + 4, 10 * C + 5),
            ],
        );
        assert_eq!(
            plan(&scattered),
            [vec![(0, 2 * C), (5 * C, C), (10 * C, 5)]]
        );
    }

    #[test]
    fn planning_from_the_end_of_a_batch_gives_the_same_batches() {
        let (c, b) = (CLUSTER, BATCH);
        let spans = vec![
            (3, 5),
            (c + 1, c + 2),
            (9 * c, 9 * c + 3 * b + 5),
            (5 * b - 1, 5 * b),
            (6 * b, 9 * b + 77),
        ];
        let sketch = Sketch(9 * b + 77, spans);
        let mut whole = Planner::new(&sketch, 0, 0);
        let mut all = Vec::new();
        while let Some(batch) = whole.next().unwrap() {
            all.push(batch);
        }
        assert!(all.len() > 5);
        for (index, before) in all.iter().enumerate() {
            let mut rest = Planner::new(&sketch, before.end(), before.number + 1);
            for expected in &all[index + 1..] {
                assert_eq!(rest.next().unwrap().as_ref(), Some(expected));
            }
            assert_eq!(rest.next().unwrap(), None);
        }
    }

    #[test]
    fn a_batch_ends_when_it_is_full() {
        let long = Sketch(2 * BATCH + 7, vec![(0, 2 * BATCH + 7)]);
        assert_eq!(
            plan(&long),
            [vec![(0, BATCH)], vec![(BATCH, BATCH)], vec![(2 * BATCH, 7)]]
        );
    }
}
