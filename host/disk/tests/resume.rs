//! Interrupted conversions go on where they were, and make what they would have made.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod common;

use cofferdam_disk::{
    CancelFlag, Compression, Conversion, ConvertOptions, ConvertReport, DiskError, Extent,
    ExtentKind, ExtentList, Format, Image, NoProgress, Progress, Resume, ThreadBudget, convert,
    discard, open_path,
};
use common::{MIB, have_qemu_img, noise, prose, qemu_img, text, write_raw};
use proptest::prelude::*;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SIZE: u64 = 24 * MIB + 70_001;

/// A disk in memory that counts what is read of it, and how much at once.
struct Source {
    bytes: Vec<u8>,
    read: AtomicU64,
    at_work: AtomicU64,
    most_at_work: AtomicU64,
    delay: Duration,
}

impl Image for Source {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let now = self.at_work.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_work.fetch_max(now, Ordering::SeqCst);
        std::thread::sleep(self.delay);
        let start = offset as usize;
        buf.copy_from_slice(&self.bytes[start..start + buf.len()]);
        self.read.fetch_add(buf.len() as u64, Ordering::SeqCst);
        self.at_work.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }

    /// Two holes; the rest is data.
    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>, DiskError> {
        let mut list = ExtentList::new();
        for (start, end, kind) in [
            (0, 2 * MIB, ExtentKind::Data),
            (2 * MIB, 3 * MIB, ExtentKind::Hole),
            (3 * MIB, 11 * MIB + 512, ExtentKind::Data),
            (11 * MIB + 512, 13 * MIB, ExtentKind::Hole),
            (13 * MIB, u64::MAX, ExtentKind::Data),
        ] {
            let (start, end) = (start.max(offset), end.min(offset + length));
            list.push(start, end.saturating_sub(start), kind);
        }
        Ok(list.finish())
    }
}

/// Text, noise that does not compress, stored zeros, and the holes.
fn source() -> Source {
    let mut bytes = prose(1, SIZE as usize);
    let mut put = |from: u64, to: u64, content: Vec<u8>| {
        bytes[from as usize..to as usize].copy_from_slice(&content);
    };
    put(4 * MIB, 7 * MIB, noise(2, 3 * MIB as usize));
    put(15 * MIB, 16 * MIB, noise(3, MIB as usize));
    put(18 * MIB, 20 * MIB, vec![0; 2 * MIB as usize]);
    put(2 * MIB, 3 * MIB, vec![0; MIB as usize]);
    put(11 * MIB + 512, 13 * MIB, vec![0; 2 * MIB as usize - 512]);
    Source {
        bytes,
        read: AtomicU64::new(0),
        at_work: AtomicU64::new(0),
        most_at_work: AtomicU64::new(0),
        delay: Duration::ZERO,
    }
}

const KINDS: [(Format, Compression); 3] = [
    (Format::Raw, Compression::None),
    (Format::Qcow2, Compression::None),
    (Format::Qcow2, Compression::Zlib(3)),
];

fn options((format, compression): (Format, Compression), threads: usize) -> ConvertOptions {
    ConvertOptions {
        format,
        compression,
        threads,
    }
}

/// Makes a checkpoint whenever one can be made.
fn eager(identity: &str) -> Resume {
    Resume {
        every: Duration::ZERO,
        every_bytes: 0,
        ..Resume::new(identity)
    }
}

fn attempt(
    source: &Source,
    target: &Path,
    options: ConvertOptions,
    identity: &str,
    stop_at: Option<u64>,
) -> Result<ConvertReport, DiskError> {
    let stop = |done, cancel: &CancelFlag| {
        if stop_at.is_some_and(|at| done > at) {
            cancel.cancel();
        }
    };
    watched(source, target, options, identity, stop)
}

/// An attempt in which `watch` is told how far it is, and may cancel it.
fn watched(
    source: &Source,
    target: &Path,
    options: ConvertOptions,
    identity: &str,
    watch: impl Fn(u64, &CancelFlag) + Send + Sync,
) -> Result<ConvertReport, DiskError> {
    let cancel = CancelFlag::new();
    let progress = |done: u64, _: u64| watch(done, &cancel);
    Conversion::new(options)
        .resuming(eager(identity))
        .run(source, target, &progress, &cancel)
}

fn straight(source: &Source, folder: &Path, kind: (Format, Compression)) -> Vec<u8> {
    let target = folder.join("straight");
    let none = CancelFlag::new();
    convert(source, &target, &options(kind, 3), &NoProgress, &none).unwrap();
    let bytes = std::fs::read(&target).unwrap();
    std::fs::remove_file(target).unwrap();
    bytes
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn stopped_anywhere_it_goes_on_and_makes_the_same(
        kind in 0usize..3,
        cuts in prop::collection::vec((0..SIZE, 1usize..6), 1..4),
        threads in 1usize..6,
    ) {
        let source = source();
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("t");
        let expected = straight(&source, folder.path(), KINDS[kind]);
        let mut finished = None;
        for (cut, threads) in cuts {
            match attempt(&source, &target, options(KINDS[kind], threads), "disk", Some(cut)) {
                Ok(report) => {
                    finished = Some(report);
                    break;
                }
                Err(DiskError::Cancelled) => {}
                Err(error) => panic!("{error}"),
            }
        }
        if finished.is_none() {
            attempt(&source, &target, options(KINDS[kind], threads), "disk", None).unwrap();
        }
        prop_assert!(std::fs::read(&target).unwrap() == expected);
        prop_assert_eq!(names(folder.path()), ["t"]);
    }
}

/// Converts half of the disk. What is there now is as a kill would have left it once there
/// is a checkpoint, which is written beside the copying and may take its time.
fn half(source: &Source, target: &Path, kind: (Format, Compression)) {
    let checkpoint = target.with_extension("checkpoint");
    let result = watched(source, target, options(kind, 1), "disk", |done, cancel| {
        let begun = std::time::Instant::now();
        while done > SIZE / 4 && !checkpoint.exists() && begun.elapsed().as_secs() < 60 {
            std::thread::sleep(Duration::from_millis(1));
        }
        if done > SIZE / 2 {
            cancel.cancel();
        }
    });
    assert!(matches!(result, Err(DiskError::Cancelled)), "{result:?}");
    source.read.store(0, Ordering::SeqCst);
}

#[test]
fn what_was_copied_is_not_read_again() {
    for kind in KINDS {
        let source = source();
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("t");
        half(&source, &target, kind);
        assert_eq!(names(folder.path()), ["t.checkpoint", "t.part"]);
        let report = attempt(&source, &target, options(kind, 2), "disk", None).unwrap();
        assert!(report.resumed_at > 0, "{kind:?}: {report:?}");
        assert_eq!(report.bytes_read, source.read.load(Ordering::SeqCst));
        assert!(report.bytes_read <= SIZE - report.resumed_at, "{report:?}");
        assert!(std::fs::read(&target).unwrap() == straight(&source, folder.path(), kind));
        assert_eq!(names(folder.path()), ["t"]);
    }
}

#[test]
fn a_checkpoint_that_does_not_fit_is_no_checkpoint() {
    type Change = fn(&Path);
    let same: Change = |_| {};
    let raw = (Format::Raw, Compression::None);
    let plain = (Format::Qcow2, Compression::None);
    let packed = (Format::Qcow2, Compression::Zlib(3));
    let cases: [(&str, _, _, &str, Change); 8] = [
        ("another source", plain, plain, "other", same),
        (
            "another level",
            packed,
            (Format::Qcow2, Compression::Zlib(4)),
            "disk",
            same,
        ),
        ("compression", plain, packed, "disk", same),
        ("another format", raw, plain, "disk", same),
        ("damage", plain, plain, "disk", |target| {
            let path = target.with_extension("checkpoint");
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }),
        ("an end that is missing", packed, packed, "disk", |target| {
            let path = target.with_extension("checkpoint");
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
        }),
        (
            "a partial file that is too short",
            plain,
            plain,
            "disk",
            |target| {
                let part = std::fs::File::options()
                    .write(true)
                    .open(target.with_extension("part"))
                    .unwrap();
                part.set_len(2 * MIB).unwrap();
            },
        ),
        ("no partial file", raw, raw, "disk", |target| {
            std::fs::remove_file(target.with_extension("part")).unwrap();
        }),
    ];
    for (what, first, second, identity, change) in cases {
        let source = source();
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("t");
        half(&source, &target, first);
        change(&target);
        let report = attempt(&source, &target, options(second, 2), identity, None).unwrap();
        assert_eq!(report.resumed_at, 0, "{what}");
        assert!(
            std::fs::read(&target).unwrap() == straight(&source, folder.path(), second),
            "{what}"
        );
        assert_eq!(names(folder.path()), ["t"], "{what}");
    }
}

/// The length of the partial file that a checkpoint vouches for; see its module for where
/// that stands.
fn vouched_for(checkpoint: &[u8]) -> u64 {
    let key = u32::from_le_bytes(checkpoint[12..16].try_into().unwrap()) as usize;
    u64::from_le_bytes(checkpoint[16 + key + 16..16 + key + 24].try_into().unwrap())
}

#[test]
fn nothing_behind_the_checkpoint_is_trusted() {
    for kind in KINDS {
        let source = source();
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("t");
        half(&source, &target, kind);
        let checkpoint = std::fs::read(target.with_extension("checkpoint")).unwrap();
        let from = vouched_for(&checkpoint);
        assert!(from > MIB, "{kind:?}: {from}");
        let part = std::fs::File::options()
            .write(true)
            .open(target.with_extension("part"))
            .unwrap();
        part.write_all_at(&noise(9, 40 * MIB as usize), from)
            .unwrap();
        drop(part);
        let report = attempt(&source, &target, options(kind, 2), "disk", None).unwrap();
        assert!(report.resumed_at > 0, "{kind:?}");
        assert!(
            std::fs::read(&target).unwrap() == straight(&source, folder.path(), kind),
            "{kind:?}"
        );
    }
}

#[test]
fn a_conversion_that_cannot_go_on_does_not_leave_a_checkpoint_for_others() {
    let kind = (Format::Qcow2, Compression::None);
    let source = source();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("t");
    half(&source, &target, kind);
    // One that knows nothing of checkpoints takes the partial file over, and is stopped.
    let cancel = CancelFlag::new();
    let stop = cancel.clone();
    let progress = move |done: u64, _: u64| {
        if done > MIB {
            stop.cancel();
        }
    };
    let result = convert(&source, &target, &options(kind, 1), &progress, &cancel);
    assert!(matches!(result, Err(DiskError::Cancelled)));
    assert_eq!(names(folder.path()), [""; 0]);

    half(&source, &target, kind);
    discard(&target).unwrap();
    assert_eq!(names(folder.path()), [""; 0]);
    discard(&target).unwrap();
}

#[test]
fn conversions_side_by_side_share_their_threads() {
    for threads in [1, 2, 3] {
        let budget = ThreadBudget::new(threads);
        let source = Source {
            delay: Duration::from_millis(2),
            ..source()
        };
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for (number, kind) in KINDS.into_iter().enumerate() {
                let (budget, source, folder) = (&budget, &source, folder.path());
                scope.spawn(move || {
                    let target = folder.join(number.to_string());
                    Conversion::new(options(kind, 0))
                        .sharing(budget.clone())
                        .run(source, &target, &NoProgress, &CancelFlag::new())
                        .unwrap();
                });
            }
        });
        let most = source.most_at_work.load(Ordering::SeqCst);
        assert!(most <= threads as u64, "{most} of {threads}");
        for (number, kind) in KINDS.into_iter().enumerate() {
            let made = std::fs::read(folder.path().join(number.to_string())).unwrap();
            assert!(made == straight(&source, folder.path(), kind), "{kind:?}");
        }
    }
}

#[test]
fn progress_begins_where_it_was() {
    let kind = (Format::Qcow2, Compression::Zlib(3));
    let source = source();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("t");
    half(&source, &target, kind);
    let calls = Mutex::new(Vec::new());
    let progress = |done: u64, _: u64| calls.lock().unwrap().push(done);
    let progress: &dyn Progress = &progress;
    let report = Conversion::new(options(kind, 2))
        .resuming(eager("disk"))
        .run(&source, &target, progress, &CancelFlag::new())
        .unwrap();
    let calls = calls.into_inner().unwrap();
    assert_eq!(calls.first(), Some(&report.resumed_at));
    assert!(calls.is_sorted());
    assert_eq!(calls.last(), Some(&SIZE));
}

/// The environment variable that turns the test below into a process to be killed: the
/// number of the kind, and the target.
const CHILD: &str = "COFFERDAM_DISK_TEST_RESUME";

#[test]
fn killed_at_any_moment_it_goes_on_and_makes_the_same() {
    let test = "killed_at_any_moment_it_goes_on_and_makes_the_same";
    let slow = || Source {
        delay: Duration::from_millis(30),
        ..source()
    };
    if let Ok(work) = std::env::var(CHILD) {
        let (kind, target) = work.split_once(' ').unwrap();
        let kind = KINDS[kind.parse::<usize>().unwrap()];
        attempt(&slow(), Path::new(target), options(kind, 2), "disk", None).unwrap();
        return;
    }
    let seed: u64 = std::env::var("COFFERDAM_TEST_SEED").map_or(1, |seed| seed.parse().unwrap());
    eprintln!("COFFERDAM_TEST_SEED={seed}");
    let mut random = noise(seed, 1000).into_iter();
    let plain = source();
    let (mut kills, mut resumed) = (0, 0);
    for (number, kind) in KINDS.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let expected = straight(&plain, folder.path(), kind);
        let target = folder.path().join("t");
        for _ in 0..4 {
            let mut child = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", test, "--nocapture"])
                .env(CHILD, format!("{number} {}", target.display()))
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap();
            // Making the source takes it a while.
            while names(folder.path()).is_empty() && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            let wait = Duration::from_micros(u64::from(random.next().unwrap()) * 800);
            std::thread::sleep(wait);
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            let left = names(folder.path());
            assert!(
                !left.contains(&"t".to_owned()) || std::fs::read(&target).unwrap() == expected,
                "{left:?}"
            );
        }
        if names(folder.path()) != ["t"] {
            let report = attempt(&plain, &target, options(kind, 2), "disk", None).unwrap();
            resumed += u64::from(report.resumed_at > 0);
        }
        assert!(std::fs::read(&target).unwrap() == expected, "{kind:?}");
        assert_eq!(names(folder.path()), ["t"]);
    }
    eprintln!("{kills} kills, {resumed} conversions were taken up");
    assert!(resumed > 0, "nothing was taken up");
}

#[test]
fn qemu_reads_what_was_taken_up() {
    if !have_qemu_img() {
        return;
    }
    let source = source();
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("disk.raw");
    write_raw(&raw, SIZE, &[(0, source.bytes.clone())]);
    for kind in KINDS {
        let target = folder.path().join("t");
        half(&source, &target, kind);
        attempt(&source, &target, options(kind, 3), "disk", None).unwrap();
        let format = kind.0.as_str();
        qemu_img(&[
            "compare",
            "-f",
            "raw",
            "-F",
            format,
            text(&raw),
            text(&target),
        ]);
        if kind.0 == Format::Qcow2 {
            qemu_img(&["check", "-f", format, text(&target)]);
        }
        std::fs::remove_file(target).unwrap();
    }
}

#[test]
fn a_file_that_was_changed_is_another_source() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("disk.raw");
    write_raw(&raw, MIB, &[(0, noise(1, 512))]);
    let identity = || open_path(&raw, None).unwrap().identity().unwrap();
    let before = identity();
    assert_eq!(identity(), before);
    let modified = raw.metadata().unwrap().modified().unwrap();
    // The clock of file times ticks every few milliseconds.
    std::thread::sleep(Duration::from_millis(20));
    let file = std::fs::File::options().write(true).open(&raw).unwrap();
    file.write_all_at(&[1], 0).unwrap();
    file.set_modified(modified).unwrap();
    assert_ne!(identity(), before);
}

#[test]
fn checkpoints_are_as_far_apart_as_was_asked() {
    let source = source();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("t");
    let seen = Mutex::new(std::collections::BTreeSet::new());
    let progress = |_: u64, _: u64| {
        if let Ok(checkpoint) = std::fs::read(target.with_extension("checkpoint")) {
            seen.lock().unwrap().insert(vouched_for(&checkpoint));
        }
        // The thread that writes them must get its turn.
        let until = Instant::now() + Duration::from_millis(5);
        while Instant::now() < until {
            std::thread::yield_now();
        }
    };
    let run = |resume: Resume| {
        Conversion::new(options((Format::Raw, Compression::None), 1))
            .resuming(resume)
            .run(&source, &target, &progress, &CancelFlag::new())
            .unwrap();
        std::fs::remove_file(&target).unwrap();
        std::mem::take(&mut *seen.lock().unwrap()).len()
    };
    assert_eq!(run(Resume::new("disk")), 0, "a short conversion needs none");
    let by_bytes = run(Resume {
        every_bytes: 8 * MIB,
        ..Resume::new("disk")
    });
    assert!((1..=3).contains(&by_bytes), "{by_bytes}");
    assert!(run(eager("disk")) > by_bytes);
}
