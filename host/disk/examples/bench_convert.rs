//! Measures conversion against qemu-img, side by side.
//!
//! ```text
//! cargo run --release -p cofferdam-disk --example bench_convert -- FOLDER [ROUNDS [ONLY]]
//! ```
//!
//! Makes a disk of 8 GiB with about 2.1 GiB of data in FOLDER (always the same bytes:
//! 686 MB that do not compress, 1.19 GB that do by about half, 284 MB of stored zeros,
//! scattered), in every source format, then converts each pair in interleaved rounds with
//! this library and with `qemu-img convert -W -m 8`, with and without `-t none`. Every
//! time includes getting the target onto the disk: our conversion syncs, after qemu-img
//! the target is synced. Prints a table of medians, ratios to the better of qemu-img's, and
//! our peak memory, measured in a process of its own. ONLY picks the conversions whose name
//! contains it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measuring tool for developers: any failure ends it"
)]

use cofferdam_disk::{
    CancelFlag, Compression, ConvertOptions, Format, NoProgress, convert, open_path,
};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::time::Instant;

const SIZE: u64 = 8 << 30;

/// What is measured: source file, and what both sides are to make of it.
const PAIRS: [(&str, &str, Format, Compression); 5] = [
    (
        "streamOptimized -> qcow2",
        "stream.vmdk",
        Format::Qcow2,
        Compression::None,
    ),
    ("raw -> qcow2", "disk.raw", Format::Qcow2, Compression::None),
    (
        "raw -> qcow2 zlib",
        "disk.raw",
        Format::Qcow2,
        Compression::Zlib(1),
    ),
    (
        "monolithicSparse -> qcow2",
        "sparse.vmdk",
        Format::Qcow2,
        Compression::None,
    ),
    ("qcow2 -> raw", "disk.qcow2", Format::Raw, Compression::None),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["one", source, target, format, level] => one(source, target, format, level),
        [folder] => bench(Path::new(folder), 5, ""),
        [folder, rounds] => bench(Path::new(folder), number(rounds), ""),
        [folder, rounds, only] => bench(Path::new(folder), number(rounds), only),
        _ => {
            eprintln!("usage: bench_convert FOLDER [ROUNDS [ONLY]]");
            exit(2);
        }
    }
}

/// Runs one conversion; for the measuring process.
fn one(source: &str, target: &str, format: &str, level: &str) {
    let level: u8 = level.parse().unwrap();
    let threads = std::env::var("THREADS").map_or(0, |n| n.parse().unwrap());
    let options = ConvertOptions {
        format: format.parse().unwrap(),
        compression: if level == 0 {
            Compression::None
        } else {
            Compression::Zlib(level)
        },
        threads,
    };
    let image = open_path(source, None).unwrap();
    let start = Instant::now();
    convert(
        image.as_ref(),
        Path::new(target),
        &options,
        &NoProgress,
        &CancelFlag::new(),
    )
    .unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| line.split_whitespace().next())
        .unwrap()
        .parse()
        .unwrap();
    println!("{seconds} {}", peak / 1024);
}

fn number(rounds: &str) -> usize {
    let rounds = rounds.parse().expect("a number of rounds");
    assert!(rounds > 0, "at least one round");
    rounds
}

fn bench(folder: &Path, rounds: usize, only: &str) {
    std::fs::create_dir_all(folder).unwrap();
    prepare(folder);
    println!(
        "| conversion | ours s | qemu-img s | qemu-img -t none s | ratio | our peak MB | our / qemu file MB |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, source, format, compression) in PAIRS {
        if !name.contains(only) {
            continue;
        }
        let source = folder.join(source);
        let level = match compression {
            Compression::None => 0,
            Compression::Zlib(level) => level,
        };
        let (mut ours, mut cached, mut direct) = (Vec::new(), Vec::new(), Vec::new());
        let (mut peak, mut sizes) = (0, (0, 0));
        for round in 0..rounds {
            let target = folder.join("ours");
            fresh(&target);
            let output = Command::new(std::env::current_exe().unwrap())
                .arg("one")
                .args([&source, &target])
                .args([format.as_str(), &level.to_string()])
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            let text = String::from_utf8(output.stdout).unwrap();
            let (seconds, megabytes) = text.trim().split_once(' ').unwrap();
            ours.push(seconds.parse::<f64>().unwrap());
            peak = peak.max(megabytes.parse::<u64>().unwrap());
            sizes.0 = allocated(&target);
            if round == 0 {
                qemu(&["compare", text_of(&source), text_of(&target)]);
                if format == Format::Qcow2 {
                    qemu(&["check", "-q", text_of(&target)]);
                }
            }
            fresh(&target);

            let target = folder.join("theirs");
            for (times, cache) in [(&mut cached, &[][..]), (&mut direct, &["-t", "none"])] {
                fresh(&target);
                let mut args = vec!["convert", "-W", "-m", "8", "-O", format.as_str()];
                args.extend(cache);
                if level > 0 {
                    args.push("-c");
                }
                args.extend([text_of(&source), text_of(&target)]);
                let start = Instant::now();
                qemu(&args);
                std::fs::File::open(&target).unwrap().sync_all().unwrap();
                times.push(start.elapsed().as_secs_f64());
            }
            sizes.1 = allocated(&target);
            fresh(&target);
        }
        let (ours, cached, direct) = (median(ours), median(cached), median(direct));
        println!(
            "| {name} | {ours:.2} | {cached:.2} | {direct:.2} | {:.2} | {peak} | {} / {} |",
            cached.min(direct) / ours,
            sizes.0 / 1_000_000,
            sizes.1 / 1_000_000
        );
    }
}

fn text_of(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn allocated(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    path.metadata().unwrap().blocks() * 512
}

/// Removes a target, and gives the file system the time that this takes.
fn fresh(path: &Path) {
    let _ = std::fs::remove_file(path);
    rustix::fs::sync();
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn qemu(args: &[&str]) {
    let output = Command::new("qemu-img")
        .args(args)
        .output()
        .expect("qemu-img is not installed");
    assert!(
        output.status.success(),
        "qemu-img {args:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Makes the sources that are not there yet.
fn prepare(folder: &Path) {
    let raw = folder.join("disk.raw");
    if !raw.exists() {
        eprintln!("making {}", raw.display());
        let part = folder.join("disk.raw.part");
        generate(&part);
        std::fs::rename(&part, &raw).unwrap();
    }
    for (name, args) in [
        ("disk.qcow2", &["-O", "qcow2"][..]),
        (
            "sparse.vmdk",
            &["-O", "vmdk", "-o", "subformat=monolithicSparse"],
        ),
        (
            "stream.vmdk",
            &["-O", "vmdk", "-o", "subformat=streamOptimized"],
        ),
    ] {
        let target = folder.join(name);
        if target.exists() {
            continue;
        }
        eprintln!("making {}", target.display());
        let part: PathBuf = folder.join(format!("{name}.part"));
        let mut all = vec!["convert"];
        all.extend(args);
        all.extend([text_of(&raw), text_of(&part)]);
        qemu(&all);
        std::fs::rename(&part, &target).unwrap();
    }
    rustix::fs::sync();
}

/// A small fast generator (xorshift64*): the same bytes everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }
}

/// Writes runs of data of 64 KiB to 4 MiB, of three kinds in turn as their totals demand,
/// with gaps between them that together fill the disk.
fn generate(path: &Path) {
    let file = std::fs::File::create(path).unwrap();
    file.set_len(SIZE).unwrap();
    let mut random = Random(0x00c0_ffe2_da3b_1e55);
    // Few byte values are frequent, as in programs and texts.
    let letters: Vec<u8> = (0..4096)
        .map(|_| {
            let value = random.below(256);
            ((value * value * value) >> 16) as u8
        })
        .collect();
    // Random, compressible, zero.
    let mut left = [686_000_000u64, 1_190_000_000, 284_000_000];
    let mut at = 0;
    let mut buffer = Vec::new();
    while left.iter().any(|bytes| *bytes > 0) {
        let all: u64 = left.iter().sum();
        let mut pick = random.below(all);
        let kind = left
            .iter()
            .position(|bytes| {
                let found = pick < *bytes;
                pick = pick.wrapping_sub(*bytes);
                found
            })
            .unwrap();
        let length = ((1 + random.below(64)) * 65536).min(left[kind]);
        left[kind] -= length;
        buffer.clear();
        match kind {
            0 => buffer.extend((0..length / 8 + 1).flat_map(|_| random.next().to_le_bytes())),
            1 => {
                buffer.extend((0..64).map(|_| letters[random.below(4096) as usize]));
                while (buffer.len() as u64) < length {
                    add_phrase(&mut buffer, &letters, &mut random);
                }
            }
            _ => buffer.resize(length as usize, 0),
        }
        buffer.truncate(length as usize);
        file.write_all_at(&buffer, at).unwrap();
        at += length.next_multiple_of(65536);
        let space = SIZE
            .saturating_sub(at)
            .saturating_sub(left.iter().sum::<u64>() + (64 << 20));
        at += random.below(16 << 20).min(space / 8) / 65536 * 65536;
    }
    assert!(at <= SIZE);
    file.sync_all().unwrap();
}

/// Adds what deflate finds in programs and texts: now and then zeros, something that was
/// there before, and a few bytes that were not. Compresses by a bit more than half, and
/// inflates as fast as real files do.
fn add_phrase(buffer: &mut Vec<u8>, letters: &[u8], random: &mut Random) {
    if random.below(20) == 0 {
        let zeros = 4 + random.below(57) as usize;
        buffer.resize(buffer.len() + zeros, 0);
    }
    let scale = 1 << random.below(15);
    let distance = (scale + random.below(scale)).max(16) as usize;
    let start = buffer.len() - distance.min(buffer.len());
    let short = random.below(1024);
    let length = 3 + ((30 * short * short * short) >> 30) as usize;
    buffer.extend_from_within(start..(start + length).min(buffer.len()));
    for _ in 0..1 + random.below(6) {
        buffer.push(letters[random.below(4096) as usize]);
    }
}
