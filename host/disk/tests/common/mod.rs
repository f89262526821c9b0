//! What the tests of this crate share: disks with known content, VMDKs in the forms that
//! qemu-img cannot write, and qemu-img itself.
#![allow(dead_code, reason = "each test file uses its part")]

use cofferdam_disk::{CancelFlag, DiskError, ExtentWalk, Image, NoProgress, compare};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;

/// Whether qemu-img is there. Without it a test says so and returns; on CI that is a failure.
pub fn have_qemu_img() -> bool {
    if Command::new("qemu-img").arg("--version").output().is_ok() {
        return true;
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "qemu-img is not installed, and CI must not skip its tests; install qemu-utils"
    );
    eprintln!("skipped: qemu-img is not installed (Debian package qemu-utils)");
    false
}

/// Runs qemu-img, which must succeed. Where it measures the processor for LUKS, it gives up
/// on a busy machine; then it is asked again.
pub fn qemu_img(args: &[&str]) {
    let ask = || Command::new("qemu-img").args(args).output().unwrap();
    let busy = |output: &std::process::Output| {
        String::from_utf8_lossy(&output.stderr).contains("accurate CPU usage")
    };
    let mut output = ask();
    for _ in 0..30 {
        if !busy(&output) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        output = ask();
    }
    assert!(
        output.status.success(),
        "qemu-img {args:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Bytes that do not compress, always the same for a seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// Text-like bytes.
pub fn prose(seed: u64, length: usize) -> Vec<u8> {
    let words = [
        "cluster ", "grain ", "table ", "extent ", "marker\n", "footer ", "42 ",
    ];
    noise(seed, length)
        .iter()
        .flat_map(|byte| words[usize::from(*byte) % words.len()].bytes())
        .take(length)
        .collect()
}

/// What is where on a disk.
pub type Content = Vec<(u64, Vec<u8>)>;

/// The disks that every format is tried with: a name, a size, and what is where.
pub fn disks() -> Vec<(&'static str, u64, Content)> {
    let large = 5 * GIB;
    vec![
        ("empty", 3 * MIB, vec![]),
        (
            "sparse",
            64 * MIB,
            vec![
                (0, noise(1, 512)),
                (MIB - 1, vec![7, 7]),
                (40 * MIB + 12_288, prose(2, 70_000)),
                (64 * MIB - 512, noise(3, 512)),
            ],
        ),
        ("random", 5 * MIB, vec![(0, noise(4, 5 * MIB as usize))]),
        (
            "compressible",
            6 * MIB,
            vec![(0, prose(5, 6 * MIB as usize))],
        ),
        (
            "odd",
            3 * MIB + 70_001,
            vec![
                (MIB, prose(6, 100_000)),
                (3 * MIB + 60_000, noise(7, 10_001)),
            ],
        ),
        (
            // Marks at every border that a format may have: 2 GiB pieces, 4 GiB numbers.
            "large",
            large,
            vec![
                (0, noise(8, 4096)),
                (2 * GIB - 512, noise(9, 1024)),
                (4 * GIB - 65_536, noise(10, 131_072)),
                (4 * GIB + MIB, prose(11, 300_000)),
                (large - 512, noise(12, 512)),
            ],
        ),
    ]
}

/// Makes a sparse raw file.
pub fn write_raw(path: &Path, size: u64, content: &[(u64, Vec<u8>)]) {
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    for (offset, bytes) in content {
        file.write_all_at(bytes, *offset).unwrap();
    }
}

/// Reads all that an image says it has, as a conversion would, and the extents themselves.
pub fn read_all(image: &dyn Image) -> Result<u64, DiskError> {
    let mut buffer = vec![0; 1 << 20];
    let mut sum = 0u64;
    for extent in ExtentWalk::whole(image) {
        let extent = extent?;
        if extent.kind.reads_as_zero() {
            continue;
        }
        let mut at = extent.offset;
        while at < extent.end() {
            let length = (extent.end() - at).min(buffer.len() as u64) as usize;
            image.read_at(at, &mut buffer[..length])?;
            sum = sum.wrapping_add(buffer[..length].iter().map(|b| u64::from(*b)).sum());
            at += length as u64;
        }
    }
    Ok(sum)
}

/// Asserts that two disks hold the same; one may be rounded up with zeros.
pub fn assert_same(a: &dyn Image, b: &dyn Image, what: &str) {
    let result = compare(a, b, &NoProgress, &CancelFlag::new()).unwrap();
    assert!(result.identical, "{what}: {result:?}");
}

/// How a hand-made sparse VMDK is to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Vmdk {
    /// Tables in front, plain grains.
    Sparse,
    /// Tables behind, compressed grains, markers and a footer: what VMware's products export.
    Stream,
}

pub const SECTOR: usize = 512;
pub const GRAIN: usize = 65_536;

/// Builds a VMDK in one file. Grains of zeros are not stored.
pub fn build_vmdk(form: Vmdk, data: &[u8], descriptor: &str) -> Vec<u8> {
    let stream = form == Vmdk::Stream;
    let capacity = data.len().div_ceil(SECTOR);
    let grains = data.len().div_ceil(GRAIN);
    let tables = grains.div_ceil(512);
    let descriptor_sectors = 4;
    let mut out = vec![0; SECTOR * (1 + descriptor_sectors)];
    out[SECTOR..SECTOR + descriptor.len()].copy_from_slice(descriptor.as_bytes());
    let mut directory_at = 0;
    if !stream {
        directory_at = out.len();
        out.resize(out.len() + (tables * 4).next_multiple_of(SECTOR), 0);
        out.resize(out.len() + tables * 2048, 0);
        out.resize(out.len().next_multiple_of(GRAIN), 0);
    }
    let mut entries = vec![0u32; tables * 512];
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    for (index, grain) in data.chunks(GRAIN).enumerate() {
        if grain.iter().all(|byte| *byte == 0) {
            continue;
        }
        entries[index] = (out.len() / SECTOR) as u32;
        let mut grain = grain.to_vec();
        grain.resize(GRAIN, 0);
        if stream {
            let mut packed = vec![0; compressor.zlib_compress_bound(GRAIN)];
            let length = compressor.zlib_compress(&grain, &mut packed).unwrap();
            out.extend(((index * GRAIN / SECTOR) as u64).to_le_bytes());
            out.extend((length as u32).to_le_bytes());
            out.extend(&packed[..length]);
            out.resize(out.len().next_multiple_of(SECTOR), 0);
        } else {
            out.extend(grain);
        }
    }
    let marker = |sectors: u64, kind: u32| {
        let mut marker = vec![0; SECTOR];
        marker[..8].copy_from_slice(&sectors.to_le_bytes());
        marker[12..16].copy_from_slice(&kind.to_le_bytes());
        marker
    };
    let mut directory = Vec::new();
    for (index, table) in entries.chunks(512).enumerate() {
        let bytes: Vec<u8> = table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        let at = if stream {
            out.extend(marker(4, 1));
            out.extend(&bytes);
            out.len() - 2048
        } else {
            let at = directory_at + (tables * 4).next_multiple_of(SECTOR) + index * 2048;
            out[at..at + 2048].copy_from_slice(&bytes);
            at
        };
        directory.extend(((at / SECTOR) as u32).to_le_bytes());
    }
    directory.resize(directory.len().next_multiple_of(SECTOR), 0);
    if stream {
        out.extend(marker((directory.len() / SECTOR) as u64, 2));
        directory_at = out.len();
        out.extend(&directory);
    } else {
        out[directory_at..directory_at + directory.len()].copy_from_slice(&directory);
    }
    let header = |directory_sector: u64| {
        let mut header = vec![0; SECTOR];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"KDMV");
        put(4, &if stream { 3u32 } else { 1 }.to_le_bytes());
        put(8, &if stream { 0x3_0001u32 } else { 1 }.to_le_bytes());
        put(12, &(capacity as u64).to_le_bytes());
        put(20, &((GRAIN / SECTOR) as u64).to_le_bytes());
        put(28, &1u64.to_le_bytes());
        put(36, &(descriptor_sectors as u64).to_le_bytes());
        put(44, &512u32.to_le_bytes());
        put(56, &directory_sector.to_le_bytes());
        put(73, b"\n \r\n");
        put(77, &u16::from(stream).to_le_bytes());
        header
    };
    let real = (directory_at / SECTOR) as u64;
    if stream {
        out[..SECTOR].copy_from_slice(&header(u64::MAX));
        out.extend(marker(1, 3));
        out.extend(header(real));
        out.extend(marker(0, 0));
    } else {
        out[..SECTOR].copy_from_slice(&header(real));
    }
    out
}

/// A descriptor as embedded in a file of its own.
pub fn descriptor(create_type: &str, sectors: usize, file: &str) -> String {
    format!(
        "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n\
         createType=\"{create_type}\"\n\nRW {sectors} SPARSE \"{file}\"\n"
    )
}

/// Two and a half MiB with holes, text and noise.
pub fn sample() -> Vec<u8> {
    let mut data = vec![0; 5 * MIB as usize / 2];
    data[..70_000].copy_from_slice(&prose(20, 70_000));
    data[MIB as usize..MIB as usize + 200_000].copy_from_slice(&noise(21, 200_000));
    let end = data.len();
    data[end - 5000..].copy_from_slice(&prose(22, 5000));
    data
}
