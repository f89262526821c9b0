//! The overlay against a plain vector that gets the same writes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod common;

use cofferdam_disk::{
    ByteRange, DiskError, Extent, ExtentKind, ExtentList, ExtentWalk, Image, OVERLAY_BLOCK,
    Overlay, Slice,
};
use common::*;
use proptest::prelude::*;
use std::sync::Arc;

/// A read-only disk in memory: noise, but the second quarter is a hole.
struct Base(Vec<u8>);

impl Base {
    fn new(size: usize) -> Self {
        let mut bytes = noise(99, size);
        bytes[size / 4..size / 2].fill(0);
        Self(bytes)
    }
}

impl Image for Base {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let at = offset as usize;
        buf.copy_from_slice(&self.0[at..at + buf.len()]);
        Ok(())
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>, DiskError> {
        let quarter = self.size() / 4;
        let hole = (quarter, self.size() / 2);
        let mut list = ExtentList::new();
        for (start, end, kind) in [
            (0, hole.0, ExtentKind::Data),
            (hole.0, hole.1, ExtentKind::Hole),
            (hole.1, self.size(), ExtentKind::Data),
        ] {
            let (start, end) = (start.max(offset), end.min(offset + length));
            list.push(start, end.saturating_sub(start), kind);
        }
        Ok(list.finish())
    }
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize, usize, u8),
    Zero(usize, usize),
    Read(usize, usize),
}

const SIZE: usize = 300_001;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let offset = prop_oneof![
        0..SIZE,
        (0..SIZE / 4096).prop_map(|block| block * 4096),
        (1..SIZE / 4096).prop_map(|block| block * 4096 - 1),
        Just(SIZE - 1),
    ];
    let length = prop_oneof![1..20usize, Just(4096), 1..40_000usize, Just(SIZE)];
    let step = (offset, length, any::<u8>(), 0..5u8).prop_map(|(offset, length, value, what)| {
        let length = length.min(SIZE - offset);
        match what {
            0..=1 => Step::Write(offset, length, value | 1),
            2..=3 => Step::Zero(offset, length),
            _ => Step::Read(offset, length),
        }
    });
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_overlay_behaves_as_a_copy_would(steps in steps()) {
        let base = Arc::new(Base::new(SIZE));
        let folder = tempfile::tempdir().unwrap();
        let overlay = Overlay::new(base.clone(), folder.path()).unwrap();
        let mut model = base.0.clone();
        for step in steps {
            match step {
                Step::Write(offset, length, value) => {
                    let data: Vec<u8> = (0..length).map(|i| value.wrapping_add(i as u8)).collect();
                    overlay.write_at(offset as u64, &data).unwrap();
                    model[offset..offset + length].copy_from_slice(&data);
                }
                Step::Zero(offset, length) => {
                    overlay.write_zeroes(offset as u64, length as u64).unwrap();
                    model[offset..offset + length].fill(0);
                }
                Step::Read(offset, length) => {
                    let mut read = vec![0xee; length];
                    overlay.read_at(offset as u64, &mut read).unwrap();
                    prop_assert!(read == model[offset..offset + length]);
                }
            }
        }
        let mut all = vec![0; SIZE];
        overlay.read_at(0, &mut all).unwrap();
        prop_assert!(all == model);

        // Extents are without gaps, and tell no lies about zeros.
        let mut next = 0;
        for extent in ExtentWalk::whole(&overlay) {
            let extent = extent.unwrap();
            prop_assert_eq!(extent.offset, next);
            next = extent.end();
            if extent.kind.reads_as_zero() {
                let part = &model[extent.offset as usize..next as usize];
                prop_assert!(part.iter().all(|byte| *byte == 0));
            }
        }
        prop_assert_eq!(next, SIZE as u64);

        // What is not reported as changed is as below; ranges are sorted and apart.
        let ranges = overlay.changed_ranges();
        for (one, two) in ranges.iter().zip(ranges.iter().skip(1)) {
            prop_assert!(one.offset + one.length < two.offset);
        }
        for (at, (new, old)) in model.iter().zip(&base.0).enumerate() {
            let at = at as u64;
            prop_assert!(
                new == old || ranges.iter().any(|r| r.offset <= at && at < r.offset + r.length)
            );
        }
    }
}

#[test]
fn changes_are_counted_in_blocks_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let base = Arc::new(Base::new(SIZE));
    let before = base.0.clone();
    let overlay = Overlay::new(base.clone(), folder.path()).unwrap();
    assert!(overlay.changed_ranges().is_empty());
    overlay.write_at(10, b"x").unwrap();
    overlay.write_at(OVERLAY_BLOCK, b"y").unwrap();
    overlay.write_zeroes(SIZE as u64 - 1, 1).unwrap();
    overlay
        .write_zeroes(5 * OVERLAY_BLOCK, OVERLAY_BLOCK)
        .unwrap();
    let last = SIZE as u64 / OVERLAY_BLOCK * OVERLAY_BLOCK;
    assert_eq!(
        overlay.changed_ranges(),
        [
            ByteRange {
                offset: 0,
                length: 2 * OVERLAY_BLOCK
            },
            ByteRange {
                offset: 5 * OVERLAY_BLOCK,
                length: OVERLAY_BLOCK
            },
            ByteRange {
                offset: last,
                length: SIZE as u64 - last
            },
        ]
    );
    assert_eq!(
        overlay.scratch_bytes(),
        2 * OVERLAY_BLOCK + SIZE as u64 - last
    );
    assert!(base.0 == before);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "the scratch file has no name"
    );
    for (offset, length) in [(SIZE as u64, 1), (u64::MAX, 2), (0, SIZE + 1)] {
        assert!(matches!(
            overlay.write_at(offset, &vec![0; length]),
            Err(DiskError::OutOfRange { .. })
        ));
    }
    assert!(matches!(
        Overlay::new(base, folder.path().join("absent")),
        Err(DiskError::NotFound { .. })
    ));
}

#[test]
fn a_slice_writes_through_to_its_window_only() {
    let folder = tempfile::tempdir().unwrap();
    let base = Arc::new(Base::new(SIZE));
    let overlay = Arc::new(Overlay::new(base.clone(), folder.path()).unwrap());
    let slice = Slice::new(overlay.clone(), 1000, 5000).unwrap();
    assert!(slice.writable());
    slice.write_at(0, b"first").unwrap();
    slice.write_at(4998, b"xy").unwrap();
    assert!(matches!(
        slice.write_at(4999, b"xy"),
        Err(DiskError::OutOfRange { .. })
    ));
    let mut read = [0; 5];
    overlay.read_at(1000, &mut read).unwrap();
    assert_eq!(&read, b"first");
    let extents = slice.extents(10, 4990).unwrap();
    assert_eq!(
        (extents[0].offset, extents.last().unwrap().end()),
        (10, 5000)
    );
    assert!(Slice::new(overlay, SIZE as u64 - 10, 11).is_err());

    let read_only = Slice::new(base, 0, 10).unwrap();
    assert!(!read_only.writable());
    assert!(matches!(
        read_only.write_at(0, b"x"),
        Err(DiskError::ReadOnly { .. })
    ));
}
