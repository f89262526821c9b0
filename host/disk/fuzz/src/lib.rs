//! What the fuzz targets share: an input becomes a file, is opened, and all of it that a
//! conversion would read is read.
//!
//! Found are panics, hangs, excess memory (libFuzzer's own limits) and lies: extents with
//! gaps, or bytes that are said to be zero and are not.

use cofferdam_disk::{ExtentWalk, Format, Image, SourceFolder, open};

/// The folder that inputs are written to; in memory where there is such a file system.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a folder for temporary files")
}

/// Opens `data` as an image of `format` and reads it.
pub fn read(data: &[u8], format: Format) {
    thread_local! {
        static FOLDER: tempfile::TempDir = folder();
    }
    FOLDER.with(|folder| {
        std::fs::write(folder.path().join("image"), data).expect("writing the input");
        let source = SourceFolder::open(folder.path()).expect("opening the folder");
        if let Ok(image) = open(&source, "image", Some(format)) {
            walk(image.as_ref());
        }
    });
}

/// Extents to look at, and bytes to read, before an input is left: a small table may
/// describe more than a run has time for.
const MAX_EXTENTS: usize = 50_000;
const MAX_BYTES: u64 = 8 << 20;

/// Checks the extents of an image, and reads what they say is there.
pub fn walk(image: &dyn Image) {
    let mut buffer = vec![0; 256 * 1024];
    let mut read = 0;
    let mut next = 0;
    for extent in ExtentWalk::whole(image).take(MAX_EXTENTS) {
        let Ok(extent) = extent else { return };
        assert_eq!(extent.offset, next, "a gap between extents");
        assert!(extent.length > 0, "an empty extent");
        next = extent.end();
        assert!(next <= image.size(), "an extent beyond the end");
        let length = extent.length.min(buffer.len() as u64) as usize;
        if read > MAX_BYTES {
            continue;
        }
        read += length as u64;
        let part = &mut buffer[..length];
        if image.read_at(extent.offset, part).is_ok() && extent.kind.reads_as_zero() {
            assert!(
                part.iter().all(|byte| *byte == 0),
                "a hole that is not zero"
            );
        }
    }
}
