//! What conversion promises besides the content: the same bytes for any number of threads,
//! nothing that looks finished before it is, bounded reading.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod common;

use cofferdam_disk::{
    CancelFlag, Compression, ConvertOptions, DiskError, Extent, ExtentKind, ExtentList, Format,
    Image, NoProgress, SourceFolder, convert, map, open, open_path,
};
use common::*;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A disk in memory that may fail or dawdle.
#[derive(Default)]
struct Source {
    bytes: Vec<u8>,
    fail_at: Option<u64>,
    delay: Duration,
    read: AtomicU64,
}

impl Image for Source {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        std::thread::sleep(self.delay);
        let (start, end) = (offset as usize, offset as usize + buf.len());
        if let Some(at) = self.fail_at
            && (start as u64..end as u64).contains(&at)
        {
            return Err(DiskError::Corrupt {
                file: "memory".into(),
                offset: at,
                what: "as planned".into(),
            });
        }
        buf.copy_from_slice(&self.bytes[start..end]);
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// The third megabyte is a hole.
    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>, DiskError> {
        let mut list = ExtentList::new();
        for (start, end, kind) in [
            (0, 2 * MIB, ExtentKind::Data),
            (2 * MIB, 3 * MIB, ExtentKind::Hole),
            (3 * MIB, u64::MAX, ExtentKind::Data),
        ] {
            let (start, end) = (start.max(offset), end.min(offset + length));
            list.push(start, end.saturating_sub(start), kind);
        }
        Ok(list.finish())
    }
}

fn source(length: u64) -> Source {
    let mut bytes = prose(1, length as usize);
    bytes[4 * MIB as usize..5 * MIB as usize].copy_from_slice(&noise(2, MIB as usize));
    bytes[2 * MIB as usize..3 * MIB as usize].fill(0);
    Source {
        bytes,
        ..Source::default()
    }
}

fn options(format: Format, compression: Compression, threads: usize) -> ConvertOptions {
    ConvertOptions {
        format,
        compression,
        threads,
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_number_of_threads_does_not_change_a_byte() {
    let source = source(30 * MIB + 77);
    for (format, compression) in [
        (Format::Raw, Compression::None),
        (Format::Qcow2, Compression::None),
        (Format::Qcow2, Compression::Zlib(4)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let made: Vec<Vec<u8>> = [1, 2, 7]
            .into_iter()
            .map(|threads| {
                let target = folder.path().join(threads.to_string());
                let options = options(format, compression, threads);
                convert(&source, &target, &options, &NoProgress, &CancelFlag::new()).unwrap();
                std::fs::read(target).unwrap()
            })
            .collect();
        assert!(
            made[0] == made[1] && made[1] == made[2],
            "{format} {compression:?}"
        );
    }
}

#[test]
fn holes_are_not_read_and_progress_ends_at_the_end() {
    let source = source(8 * MIB + 5);
    let folder = tempfile::tempdir().unwrap();
    let calls = Mutex::new(Vec::new());
    let progress = |done: u64, total: u64| calls.lock().unwrap().push((done, total));
    let options = options(Format::Raw, Compression::None, 3);
    let target = folder.path().join("t");
    let report = convert(&source, &target, &options, &progress, &CancelFlag::new()).unwrap();
    assert_eq!(report.bytes_read, 7 * MIB + 5);
    assert_eq!(source.read.load(Ordering::Relaxed), 7 * MIB + 5);
    assert!(std::fs::read(&target).unwrap() == source.bytes);
    let calls = calls.into_inner().unwrap();
    assert!(calls.is_sorted());
    assert_eq!(calls.first(), Some(&(0, source.size())));
    assert_eq!(calls.last(), Some(&(source.size(), source.size())));
}

#[test]
fn zeros_take_no_room_in_the_target() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = vec![0; 20 * MIB as usize];
    bytes[10 * MIB as usize] = 1;
    let source = Source {
        bytes,
        ..Source::default()
    };
    for format in [Format::Raw, Format::Qcow2] {
        let target = folder.path().join(format.as_str());
        let options = options(format, Compression::None, 2);
        convert(&source, &target, &options, &NoProgress, &CancelFlag::new()).unwrap();
        let taken = target.metadata().unwrap().blocks() * 512;
        assert!(taken <= 8 * 65_536, "{format}: {taken}");
        let read = open_path(&target, Some(format)).unwrap();
        let kinds: Vec<_> = map(read.as_ref()).map(|entry| entry.unwrap()).collect();
        assert_eq!(kinds.len(), 3, "{format}: {kinds:?}");
        assert_eq!(
            (kinds[1].offset, kinds[1].kind),
            (10 * MIB, ExtentKind::Data)
        );
    }
}

#[test]
fn an_error_in_the_source_is_told_and_leaves_nothing() {
    for threads in [1, 2, 5] {
        for format in [Format::Raw, Format::Qcow2] {
            let source = Source {
                fail_at: Some(21 * MIB),
                ..source(40 * MIB)
            };
            let folder = tempfile::tempdir().unwrap();
            let target = folder.path().join("t");
            let options = options(format, Compression::None, threads);
            let error =
                convert(&source, &target, &options, &NoProgress, &CancelFlag::new()).unwrap_err();
            assert!(
                matches!(error, DiskError::Corrupt { offset, .. } if offset == 21 * MIB),
                "{error}"
            );
            assert_eq!(names(folder.path()), [""; 0]);
        }
    }
}

#[test]
fn a_cancelled_conversion_leaves_nothing() {
    let source = source(40 * MIB);
    for compression in [Compression::None, Compression::Zlib(1)] {
        let folder = tempfile::tempdir().unwrap();
        let cancel = CancelFlag::new();
        let stop = cancel.clone();
        let progress = move |done: u64, _: u64| {
            if done > 10 * MIB {
                stop.cancel();
            }
        };
        let options = options(Format::Qcow2, compression, 3);
        let result = convert(
            &source,
            &folder.path().join("t"),
            &options,
            &progress,
            &cancel,
        );
        assert!(matches!(result, Err(DiskError::Cancelled)));
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[test]
fn a_panic_in_a_source_reaches_the_caller_and_leaves_nothing() {
    struct Panics;
    impl Image for Panics {
        fn size(&self) -> u64 {
            64 * MIB
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
            assert!(offset < 16 * MIB, "as planned");
            buf.fill(1);
            Ok(())
        }
        fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>, DiskError> {
            Ok(vec![Extent {
                offset,
                length,
                kind: ExtentKind::Data,
            }])
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("t");
    let options = options(Format::Qcow2, Compression::None, 4);
    let result = std::panic::catch_unwind(|| {
        convert(&Panics, &target, &options, &NoProgress, &CancelFlag::new())
    });
    assert!(result.is_err());
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn an_existing_target_is_never_touched() {
    let source = source(6 * MIB);
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("t");
    std::fs::write(&target, "precious").unwrap();
    let options = options(Format::Raw, Compression::None, 2);
    let convert = |progress: &dyn cofferdam_disk::Progress| {
        convert(&source, &target, &options, progress, &CancelFlag::new())
    };
    assert!(matches!(
        convert(&NoProgress),
        Err(DiskError::Exists { .. })
    ));
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
    std::fs::remove_file(&target).unwrap();
    std::os::unix::fs::symlink("nowhere", &target).unwrap();
    assert!(matches!(
        convert(&NoProgress),
        Err(DiskError::Exists { .. })
    ));
    std::fs::remove_file(&target).unwrap();

    // It appears while the conversion runs.
    let appear = |_: u64, _: u64| std::fs::write(&target, "precious").unwrap();
    assert!(matches!(convert(&appear), Err(DiskError::Exists { .. })));
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
    assert_eq!(names(folder.path()), ["t"]);
}

#[test]
fn two_conversions_do_not_write_the_same_file() {
    let source = source(6 * MIB);
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("t");
    let options = options(Format::Raw, Compression::None, 1);
    let second = Mutex::new(None);
    let progress = |_: u64, _: u64| {
        let result = convert(&source, &target, &options, &NoProgress, &CancelFlag::new());
        second.lock().unwrap().get_or_insert(result.map(|_| ()));
    };
    convert(&source, &target, &options, &progress, &CancelFlag::new()).unwrap();
    let second = second.into_inner().unwrap();
    assert!(
        matches!(second, Some(Err(DiskError::Locked { .. }))),
        "{second:?}"
    );
    assert!(std::fs::read(&target).unwrap() == source.bytes);
    assert_eq!(names(folder.path()), ["t"]);
}

#[test]
fn what_cannot_be_written_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("t");
    let source = source(6 * MIB);
    for (format, compression, words) in [
        (Format::Vmdk, Compression::None, "writing vmdk"),
        (
            Format::Raw,
            Compression::Zlib(1),
            "compression in a raw file",
        ),
        (Format::Qcow2, Compression::Zlib(0), "compression level 0"),
        (Format::Qcow2, Compression::Zlib(13), "compression level 13"),
    ] {
        let options = options(format, compression, 0);
        let error =
            convert(&source, &target, &options, &NoProgress, &CancelFlag::new()).unwrap_err();
        assert!(matches!(error, DiskError::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(names(folder.path()), [""; 0]);
    }
    let absent = folder.path().join("absent/t");
    let options = options(Format::Raw, Compression::None, 0);
    let error = convert(&source, &absent, &options, &NoProgress, &CancelFlag::new());
    let Err(DiskError::NoFolder { path }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(Path::new(&path), absent.parent().unwrap());
}

/// The environment variable that turns the test below into a process to be killed.
const CHILD: &str = "COFFERDAM_DISK_TEST_KILL";

#[test]
fn a_killed_conversion_leaves_nothing_that_looks_finished() {
    if let Ok(target) = std::env::var(CHILD) {
        let source = Source {
            delay: Duration::from_millis(50),
            ..source(40 * MIB)
        };
        let options = options(Format::Qcow2, Compression::None, 1);
        convert(
            &source,
            Path::new(&target),
            &options,
            &NoProgress,
            &CancelFlag::new(),
        )
        .unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("t");
    let part = folder.path().join("t.part");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "a_killed_conversion_leaves_nothing_that_looks_finished",
        ])
        .env(CHILD, &target)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while part.metadata().map_or(0, |part| part.len()) == 0 {
        assert!(
            child.try_wait().unwrap().is_none(),
            "ended before it could be killed"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(names(folder.path()), ["t.part"]);

    // What is left is in nobody's way.
    let source = source(40 * MIB);
    let options = options(Format::Qcow2, Compression::None, 2);
    convert(&source, &target, &options, &NoProgress, &CancelFlag::new()).unwrap();
    assert_eq!(names(folder.path()), ["t"]);
    let read = open(&SourceFolder::open(folder.path()).unwrap(), "t", None).unwrap();
    assert_same(&source, read.as_ref(), "after a kill");
}

/// Needs to mount a small file system, so only where that is allowed.
#[test]
fn a_full_file_system_is_no_space_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
        .arg(folder.path())
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        eprintln!("skipped: mounting a file system of 4 MiB is not allowed here");
        return;
    }
    let source = source(20 * MIB);
    let mut results = Vec::new();
    for format in [Format::Raw, Format::Qcow2] {
        let options = options(format, Compression::None, 2);
        let target = folder.path().join("t");
        results.push(convert(
            &source,
            &target,
            &options,
            &NoProgress,
            &CancelFlag::new(),
        ));
    }
    let left = names(folder.path());
    let unmounted = std::process::Command::new("umount")
        .arg(folder.path())
        .status();
    assert!(unmounted.unwrap().success());
    for result in results {
        assert!(
            matches!(result, Err(DiskError::NoSpace { .. })),
            "{result:?}"
        );
    }
    assert_eq!(left, [""; 0]);
}
