//! Random damage to valid images: whatever is flipped, the answer is data or an error.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod common;

use cofferdam_disk::{
    Compression, ConvertOptions, Format, NoProgress, SourceFolder, convert, open, partition,
};
use common::*;
use proptest::prelude::*;
use std::sync::OnceLock;

/// One valid image of each kind.
fn images() -> &'static [(Format, Vec<u8>)] {
    static IMAGES: OnceLock<Vec<(Format, Vec<u8>)>> = OnceLock::new();
    IMAGES.get_or_init(|| {
        let data = sample();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("raw"), &data).unwrap();
        let source = open(
            &SourceFolder::open(folder.path()).unwrap(),
            "raw",
            Some(Format::Raw),
        )
        .unwrap();
        let mut images: Vec<_> = [Compression::None, Compression::Zlib(6)]
            .into_iter()
            .map(|compression| {
                let target = folder.path().join("target");
                let options = ConvertOptions {
                    format: Format::Qcow2,
                    compression,
                    threads: 1,
                };
                convert(
                    source.as_ref(),
                    &target,
                    &options,
                    &NoProgress,
                    &Default::default(),
                )
                .unwrap();
                let bytes = std::fs::read(&target).unwrap();
                std::fs::remove_file(target).unwrap();
                (Format::Qcow2, bytes)
            })
            .collect();
        for (form, name) in [
            (Vmdk::Sparse, "monolithicSparse"),
            (Vmdk::Stream, "streamOptimized"),
        ] {
            let text = descriptor(name, data.len() / 512, "image");
            images.push((Format::Vmdk, build_vmdk(form, &data, &text)));
        }
        images
    })
}

/// Offsets that are in tables more often than in data, as all structures of these small
/// images are in the first or the last 300 KiB, or begin at a multiple of 512.
fn place() -> impl Strategy<Value = (bool, usize)> {
    prop_oneof![
        (Just(false), 0..160usize),
        (Just(false), 0..8192usize),
        (Just(true), 0..1600usize),
        (Just(true), 0..300_000usize),
        (Just(true), (0..600usize).prop_map(|sector| sector * 512)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damage_ends_in_data_or_an_error(
        kind in 0..4usize,
        damage in prop::collection::vec((place(), prop::collection::vec(any::<u8>(), 1..9)), 1..4),
    ) {
        let (format, image) = &images()[kind];
        let mut image = image.clone();
        for ((from_end, at), bytes) in damage {
            let at = if from_end { image.len().saturating_sub(at + 8) } else { at };
            for (place, byte) in image[at..].iter_mut().zip(bytes) {
                *place = byte;
            }
        }
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        std::fs::write(folder.path().join("image"), image).unwrap();
        let folder = SourceFolder::open(folder.path()).unwrap();
        // A size that is nonsense may be valid; what is stored is bounded by the file.
        if let Ok(image) = open(&folder, "image", Some(*format)) {
            let _ = read_all(image.as_ref());
            let _ = partition::read(image.as_ref());
            let _ = image.info();
        }
    }
}
