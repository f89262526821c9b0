//! The seeds of the fuzz targets, replayed without a fuzzer. `valid-*` must be read,
//! `refused-*` must not, and what a fuzzer has found is kept there to stay fixed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod common;

use cofferdam_disk::{Format, SourceFolder, open, partition};
use common::*;
use std::path::Path;

#[test]
fn every_seed_does_what_its_name_says() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut seen = 0;
    for (target, format) in [
        ("qcow2", Format::Qcow2),
        ("vmdk_sparse", Format::Vmdk),
        ("vmdk_descriptor", Format::Vmdk),
        ("partition", Format::Raw),
    ] {
        for entry in std::fs::read_dir(corpus.join(target)).unwrap() {
            let seed = entry.unwrap().path();
            let name = seed.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(
                seed.metadata().unwrap().len() <= 64 * 1024,
                "{name} is not small"
            );
            let folder = tempfile::tempdir().unwrap();
            std::fs::copy(&seed, folder.path().join("image")).unwrap();
            std::fs::write(folder.path().join("a"), noise(1, 4096)).unwrap();
            let source = SourceFolder::open(folder.path()).unwrap();
            let result = open(&source, "image", Some(format)).and_then(|image| {
                if target == "partition" {
                    let table = partition::read(image.as_ref())?;
                    assert!(
                        !name.starts_with("valid")
                            || table.is_some_and(|t| !t.partitions.is_empty())
                    );
                } else {
                    assert!(
                        read_all(image.as_ref())? > 0 || !name.starts_with("valid"),
                        "{name}"
                    );
                }
                Ok(())
            });
            match name.split('-').next() {
                Some("valid") => result.unwrap_or_else(|error| panic!("{target}/{name}: {error}")),
                Some("refused") => assert!(result.is_err(), "{target}/{name} was read"),
                _ => {}
            }
            seen += 1;
        }
    }
    assert!(seen >= 16, "{seen}");
}
