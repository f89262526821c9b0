//! The reader against archives that the real tools made.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::newc::Writer;

/// Every encoding with the command that makes it, as initramfs-tools and dracut call them.
const TOOLS: [(Encoding, &[&str]); 7] = [
    (Encoding::Gzip, &["gzip", "-n", "-9"]),
    (Encoding::Bzip2, &["bzip2", "-9"]),
    (Encoding::Lzma, &["xz", "--format=lzma", "-6"]),
    (Encoding::Xz, &["xz", "--check=crc32", "-6"]),
    (
        Encoding::Xz,
        &["xz", "--check=sha256", "--block-size=1000", "-T1"],
    ),
    (Encoding::Lz4, &["lz4", "-l", "-9", "-q"]),
    (Encoding::Zstd, &["zstd", "-q", "-19"]),
];

/// Runs a command over bytes; none (and a line that says so) where it is not installed.
fn filter(command: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let spawned = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(_) => return missing(command),
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A command that ends early leaves input over; its status tells.
    let feeder = std::thread::spawn(move || stdin.write_all(&input).ok());
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    if output.status.code() == Some(127) {
        return missing(command);
    }
    assert!(output.status.success(), "{command:?}");
    Some(output.stdout)
}

/// A tool that is not installed: a skip with its name, and a failure in CI.
fn missing(command: &[&str]) -> Option<Vec<u8>> {
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(
        !in_ci,
        "this test needs {command:?}, which is not installed"
    );
    eprintln!("skipped: {command:?} is not installed");
    None
}

/// What `find | cpio -o -H newc` makes of a small tree.
fn cpio(names: &[&str]) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let mut list = String::from(".\n");
    for name in names {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("{name} ").repeat(300)).unwrap();
        list.push_str(&format!("./{name}\n"));
    }
    std::os::unix::fs::symlink("usr/lib", folder.path().join("lib")).unwrap();
    list.push_str("./lib\n");
    let command = format!(
        "cd '{}' && cpio -o -H newc --quiet",
        folder.path().display()
    );
    filter(&["sh", "-c", &command], list.as_bytes())
}

fn scan(bytes: &[u8]) -> Result<Initrd, Error> {
    read(bytes, |name| name.ends_with("conf/modules"))
}

fn shape(initrd: &Initrd) -> Vec<(u64, u64, Encoding)> {
    let segments = initrd.segments.iter();
    segments.map(|s| (s.start, s.end, s.encoding)).collect()
}

#[test]
fn every_encoding_ends_where_its_tool_ended_it() {
    let Some(archive) = cpio(&["conf/modules", "scripts/functions", "bin/sh"]) else {
        return;
    };
    for (encoding, command) in TOOLS {
        let Some(bytes) = filter(command, &archive) else {
            continue;
        };
        let length = bytes.len() as u64;
        let initrd = scan(&bytes).unwrap();
        assert_eq!(shape(&initrd), [(0, length, encoding)], "{command:?}");
        assert_eq!(initrd.segments[0].inflated, archive.len() as u64);
        assert!(
            initrd
                .members
                .content("conf/modules")
                .unwrap()
                .starts_with(b"conf/")
        );
        assert!(initrd.members.get("bin/sh").is_some());

        // With padding, and with one more segment behind it. Lz4 has no end but the file's
        // or NUL, so there it is four of them.
        let padded = bytes.len().next_multiple_of(4) + 4;
        let mut two = bytes.clone();
        two.resize(padded, 0);
        assert_eq!(scan(&two).unwrap().length, padded as u64);
        let mut more = Writer::new(0);
        more.file("conf/modules", b"later");
        let more = more.finish();
        two.extend_from_slice(&more);
        let initrd = scan(&two).unwrap();
        assert_eq!(initrd.length, two.len() as u64);
        assert_eq!(initrd.segments.len(), 2, "{command:?}");
        assert_eq!(initrd.segments[0].end, length, "{command:?}");
        assert_eq!(initrd.members.content("conf/modules"), Some(&b"later"[..]));
    }
}

#[test]
fn a_large_archive_ends_where_its_tool_ended_it() {
    // Larger than every buffer here, and half of it does not compress.
    let mut writer = Writer::new(0);
    let mut state = 7_u32;
    let noise: Vec<u8> = (0..1_500_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    writer.file("noise", &noise);
    writer.file("text", &b"the quick brown fox ".repeat(90_000));
    let archive = writer.finish();
    for (encoding, command) in TOOLS {
        let Some(mut bytes) = filter(command, &archive) else {
            continue;
        };
        let length = bytes.len() as u64;
        bytes.resize(bytes.len().next_multiple_of(4) + 8, 0);
        bytes.extend(filter(&["gzip"], &archive).unwrap());
        let initrd = scan(&bytes).unwrap();
        assert_eq!(shape(&initrd)[0], (0, length, encoding), "{command:?}");
        assert_eq!(initrd.segments.len(), 2);
    }
}

#[test]
fn microcode_before_the_main_archive() {
    let Some(early) = cpio(&["kernel/x86/microcode/GenuineIntel.bin"]) else {
        return;
    };
    let Some(main) = cpio(&["etc/initrd-release"]) else {
        return;
    };
    for (encoding, command) in TOOLS {
        let Some(packed) = filter(command, &main) else {
            continue;
        };
        let bytes = [early.clone(), packed].concat();
        let initrd = scan(&bytes).unwrap();
        assert_eq!(initrd.segments[0].encoding, Encoding::Plain);
        assert_eq!(initrd.segments[1].encoding, encoding);
        assert_eq!(initrd.segments[1].start, early.len() as u64);
        assert!(
            initrd
                .members
                .get("kernel/x86/microcode/GenuineIntel.bin")
                .is_some()
        );
        assert!(initrd.members.get("etc/initrd-release").is_some());
    }
}

#[test]
fn every_truncation_is_an_error() {
    let Some(archive) = cpio(&["conf/modules"]) else {
        return;
    };
    for (encoding, command) in TOOLS {
        let Some(bytes) = filter(command, &archive) else {
            continue;
        };
        // All of the first and last bytes, some of the middle: a scan clears megabytes.
        let cuts =
            (1..bytes.len()).filter(|cut| *cut < 40 || bytes.len() - cut < 40 || cut % 13 == 0);
        for cut in cuts {
            let cut_bytes = &bytes[..cut];
            // Lz4 is bare blocks: its magic alone is an empty archive, to the kernel too,
            // and up to three bytes behind it are leftovers.
            let error = scan(cut_bytes);
            // An LZMA stream ends with five bytes that flush the coder; what they decode to
            // may be known before the last.
            if encoding == Encoding::Lzma && cut + 1 == bytes.len() && error.is_ok() {
                continue;
            }
            assert!(
                error.is_err() || (encoding == Encoding::Lz4 && cut == 4),
                "{command:?} cut at {cut} of {}",
                bytes.len()
            );
            if cut > bytes.len() / 2 {
                assert!(
                    matches!(error, Err(Error::Truncated { start: 0, .. })),
                    "{command:?} cut at {cut}: {error:?}"
                );
            }
        }
    }
}

#[test]
fn garbage_behind_the_end_is_named() {
    let Some(archive) = cpio(&["conf/modules"]) else {
        return;
    };
    for (encoding, command) in TOOLS {
        let Some(bytes) = filter(command, &archive) else {
            continue;
        };
        let end = bytes.len() as u64;
        let dirty = [&bytes[..], b"GARBAGE at the end"].concat();
        match scan(&dirty) {
            Err(Error::Garbage { offset, start }) => {
                assert_eq!(offset, end, "{command:?}");
                assert!(start.starts_with(b"GARBAGE"));
            }
            // No end mark: the garbage is a block to lz4, and the kernel stops at it.
            Err(Error::Malformed { .. }) if encoding == Encoding::Lz4 => {}
            other => panic!("{command:?}: {other:?}"),
        }
    }
}

#[test]
fn checksums_are_checked() {
    let Some(archive) = cpio(&["conf/modules"]) else {
        return;
    };
    for (encoding, command) in TOOLS {
        // These two have none.
        if matches!(encoding, Encoding::Lzma | Encoding::Lz4) {
            continue;
        }
        let Some(mut bytes) = filter(command, &archive) else {
            continue;
        };
        let place = match encoding {
            Encoding::Gzip => bytes.len() - 8,
            Encoding::Zstd => bytes.len() - 1,
            Encoding::Bzip2 => 10,
            // The last byte of the index's CRC, before the footer of twelve bytes.
            _ => bytes.len() - 13,
        };
        bytes[place] ^= 0x10;
        assert!(
            matches!(scan(&bytes), Err(Error::Malformed { start: 0, .. })),
            "{command:?}"
        );
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let mut writer = Writer::new(0);
    writer.file("zeros", &vec![0; 8 << 20]);
    let archive = writer.finish();
    for (encoding, command) in TOOLS {
        let Some(bytes) = filter(command, &archive) else {
            continue;
        };
        let bounded = |limit| read_bounded(&bytes[..], limit, |_| false);
        assert!(
            matches!(bounded(1 << 20), Err(Error::TooLarge { encoding: e, .. }) if e == encoding),
            "{command:?}"
        );
        bounded(archive.len() as u64).unwrap();
    }
}

#[test]
fn what_the_kernel_would_not_unpack() {
    let text = filter(&["gzip"], b"this is an ext2 image, say").unwrap();
    assert!(matches!(scan(&text), Err(Error::Malformed { .. })));
    let mut writer = Writer::new(0);
    writer.directory("a");
    let mut archive = writer.finish();
    archive.extend(b"junk");
    let packed = filter(&["gzip"], &archive).unwrap();
    assert!(matches!(scan(&packed), Err(Error::Malformed { .. })));
    assert!(matches!(scan(&[0; 700]), Err(Error::Empty)));
    assert!(matches!(scan(&[]), Err(Error::Empty)));
    assert!(matches!(
        scan(b"\x89LZO\0\r\n\x1a\n"),
        Err(Error::Unsupported {
            encoding: Encoding::Lzo,
            ..
        })
    ));
    // A plain archive out of step.
    let shifted = [&b"\0\0"[..], &archive].concat();
    assert!(matches!(
        scan(&shifted),
        Err(Error::Garbage { offset: 2, .. })
    ));
}

#[test]
fn a_failing_read_is_told_apart_from_damage() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the file system says no"))
        }
    }
    let Some(archive) = cpio(&["conf/modules"]) else {
        return;
    };
    for (_, command) in TOOLS {
        let Some(bytes) = filter(command, &archive) else {
            continue;
        };
        let half = &bytes[..bytes.len() / 2];
        let error = read(half.chain(Failing), |_| false).unwrap_err();
        assert!(
            matches!(error, Error::Read { .. }),
            "{command:?}: {error:?}"
        );
        assert!(error.to_string().contains("says no"), "{error}");
    }
}

/// One archive in every encoding, made once.
fn packed() -> &'static [Option<Vec<u8>>] {
    static PACKED: OnceLock<Vec<Option<Vec<u8>>>> = OnceLock::new();
    PACKED.get_or_init(|| {
        let noise: Vec<u8> = (0..3000_u32).flat_map(|i| (i * i).to_le_bytes()).collect();
        let mut writer = Writer::new(5);
        writer.directory("conf");
        writer.file("conf/modules", b"ext4\nsd_mod\n");
        writer.file("noise", &noise);
        let archive = writer.finish();
        let made = TOOLS.iter().map(|(_, command)| filter(command, &archive));
        made.collect()
    })
}

#[test]
fn cpio_unpacks_what_is_written() {
    let mut writer = Writer::new(1_760_000_000);
    writer.directory("conf");
    writer.file("conf/modules", b"ext4\n");
    let folder = tempfile::tempdir().unwrap();
    let command = format!(
        "cd '{}' && cpio -i -m --quiet --no-preserve-owner --verbose 2>&1",
        folder.path().display()
    );
    let Some(listing) = filter(&["sh", "-c", &command], &writer.finish()) else {
        return;
    };
    assert_eq!(String::from_utf8(listing).unwrap(), "conf\nconf/modules\n");
    let unpacked = folder.path().join("conf/modules");
    assert_eq!(fs::read(&unpacked).unwrap(), b"ext4\n");
    let modified = fs::metadata(&unpacked).unwrap().modified().unwrap();
    let seconds = modified
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert_eq!(seconds, 1_760_000_000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Bytes changed anywhere end in an answer, never in a panic or a loop, and never in
    /// a file that seems longer or shorter than it is.
    #[test]
    fn changed_bytes_get_an_answer(
        tool in 0..TOOLS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        if let Some(mut bytes) = packed().get(tool).cloned().flatten() {
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            bytes.truncate(bytes.len() - cut.index(bytes.len()) / 8);
            if let Ok(initrd) = scan(&bytes) {
                prop_assert_eq!(initrd.length, bytes.len() as u64);
            }
        }
    }

    /// Random bytes behind every magic.
    #[test]
    fn noise_behind_a_magic_gets_an_answer(
        magic in prop::sample::select(vec![
            &b"070701"[..], b"\x1f\x8b\x08", b"BZh9", b"\x5d\0\0\x80\0", b"\xfd7zXZ\0",
            b"\x02\x21\x4c\x18", b"\x28\xb5\x2f\xfd", b"\0\0\0\0",
        ]),
        noise in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let bytes = [magic, &noise].concat();
        if let Ok(initrd) = scan(&bytes) {
            prop_assert_eq!(initrd.length, bytes.len() as u64);
        }
    }
}
