//! What a device holds that no file-system plugin mounted.
//!
//! Kinds are named as `blkid` names them. Places and byte orders are those of libblkid
//! (util-linux, libblkid/src/superblocks/*.c) and of each format's own header:
//! include/linux/swap.h, the LUKS1 and LUKS2 on-disk format specifications, LVM2
//! lib/format_text/layout.h, include/uapi/linux/raid/md_p.h, the kernel's XFS, btrfs, ext4
//! and F2FS superblocks, Microsoft's FAT and exFAT specifications.

use cofferdam_sdk::Result;

/// Bytes from a device's start that decide everything but software RAID.
pub const HEAD: u32 = 72 * 1024;

/// What was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name that `blkid` uses.
    pub kind: &'static str,
    /// As `blkid` prints it.
    pub uuid: Option<String>,
    /// None where empty.
    pub label: Option<String>,
}

/// How an identifier is stored, and where.
#[derive(Clone, Copy)]
enum Id {
    None,
    /// 16 bytes, in the order in which they are printed.
    Uuid(usize),
    /// Text of up to 40 bytes.
    Text(usize),
    /// Four bytes, printed as `ABCD-1234`.
    Serial32(usize),
    /// Eight bytes, printed as 16 digits.
    Serial64(usize),
}

/// A signature. The first that fits counts: those of containers come before those of file
/// systems, which may be left over inside.
struct Magic {
    kind: &'static str,
    at: usize,
    bytes: &'static [u8],
    id: Id,
    /// Place and length of the label.
    label: (usize, usize),
}

const fn magic(
    kind: &'static str,
    at: usize,
    bytes: &'static [u8],
    id: Id,
    label: (usize, usize),
) -> Magic {
    Magic {
        kind,
        at,
        bytes,
        id,
        label,
    }
}

/// No label.
const NONE: (usize, usize) = (0, 0);

const MAGICS: &[Magic] = &[
    magic(
        "crypto_LUKS",
        0,
        b"LUKS\xba\xbe\x00\x01",
        Id::Text(168),
        NONE,
    ),
    magic(
        "crypto_LUKS",
        0,
        b"LUKS\xba\xbe\x00\x02",
        Id::Text(168),
        (24, 48),
    ),
    magic("BitLocker", 3, b"-FVE-FS-", Id::None, NONE),
    magic("xfs", 0, b"XFSB", Id::Uuid(32), (108, 12)),
    magic("btrfs", 65600, b"_BHRfS_M", Id::Uuid(65568), (65835, 256)),
    magic(
        "f2fs",
        1024,
        &[0x10, 0x20, 0xf5, 0xf2],
        Id::Uuid(1132),
        NONE,
    ),
    magic("jfs", 32768, b"JFS1", Id::Uuid(32904), (32920, 16)),
    magic("reiserfs", 65588, b"ReIsEr", Id::Uuid(65620), (65636, 16)),
    magic("squashfs", 0, b"hsqs", Id::None, NONE),
    magic("iso9660", 32769, b"CD001", Id::None, NONE),
    magic("ntfs", 3, b"NTFS    ", Id::Serial64(72), NONE),
    magic("exfat", 3, b"EXFAT   ", Id::Serial32(100), NONE),
    magic("vfat", 82, b"FAT32   ", Id::Serial32(67), (71, 11)),
    magic("vfat", 54, b"FAT16   ", Id::Serial32(39), (43, 11)),
    magic("vfat", 54, b"FAT12   ", Id::Serial32(39), (43, 11)),
];

/// Page sizes that a swap area may have been made for; its signature ends the first page.
const PAGES: [usize; 5] = [4096, 8192, 16384, 32768, 65536];
/// Signatures of a swap area, and of one that holds a memory image (`swsuspend`).
const SWAP: &[(&[u8], &str)] = &[
    (b"SWAPSPACE2", "swap"),
    (b"SWAP-SPACE", "swap"),
    (b"S1SUSPEND\0", "swsuspend"),
    (b"S2SUSPEND\0", "swsuspend"),
    (b"ULSUSPEND\0", "swsuspend"),
    (b"LINHIB0001", "swsuspend"),
];

/// Says what begins with `head` (up to [`HEAD`] bytes).
pub fn identify(head: &[u8]) -> Option<Identity> {
    lvm(head)
        .or_else(|| by_magic(head))
        .or_else(|| swap(head))
        .or_else(|| ext(head))
}

fn by_magic(head: &[u8]) -> Option<Identity> {
    let magic = MAGICS
        .iter()
        .find(|magic| at(head, magic.at, magic.bytes.len()) == Some(magic.bytes))?;
    Some(Identity {
        kind: magic.kind,
        uuid: match magic.id {
            Id::None => None,
            Id::Uuid(place) => uuid(head, place),
            Id::Text(place) => text(head, place, 40),
            Id::Serial32(place) => serial(head, place, 4).map(|digits| {
                format!(
                    "{}-{}",
                    digits.get(..4).unwrap_or_default(),
                    digits.get(4..).unwrap_or_default()
                )
            }),
            Id::Serial64(place) => serial(head, place, 8),
        },
        label: text(head, magic.label.0, magic.label.1).filter(|label| label != "NO NAME"),
    })
}

fn swap(head: &[u8]) -> Option<Identity> {
    let kind = PAGES.iter().find_map(|page| {
        let found = at(head, page.saturating_sub(10), 10)?;
        let known = SWAP.iter().find(|(bytes, _)| *bytes == found)?;
        Some(known.1)
    })?;
    // A memory image replaces the signature and leaves the rest of the header.
    Some(Identity {
        kind,
        uuid: uuid(head, 1036),
        label: text(head, 1052, 16),
    })
}

/// A physical volume has its label in one of the first four sectors.
fn lvm(head: &[u8]) -> Option<Identity> {
    let sector = (0..4usize).map(|n| n * 512).find(|sector| {
        at(head, *sector, 8) == Some(b"LABELONE") && at(head, sector + 24, 8) == Some(b"LVM2 001")
    })?;
    let offset: [u8; 4] = at(head, sector + 20, 4)?.try_into().ok()?;
    let place = usize::try_from(u32::from_le_bytes(offset))
        .ok()?
        .checked_add(sector)?;
    let digits = at(head, place, 32)?;
    let mut uuid = String::new();
    if digits.iter().all(u8::is_ascii_alphanumeric) {
        for (index, digit) in digits.iter().enumerate() {
            // In groups of 6, 4, 4, 4, 4, 4, 6.
            if (6..=26).contains(&index) && (index - 6) % 4 == 0 {
                uuid.push('-');
            }
            uuid.push(char::from(*digit));
        }
    }
    Some(Identity {
        kind: "LVM2_member",
        uuid: Some(uuid).filter(|uuid| !uuid.is_empty()),
        label: None,
    })
}

/// ext2, ext3 and ext4, told apart as libblkid does: ext4 has a feature that ext3 does not
/// know, ext3 has a journal.
fn ext(head: &[u8]) -> Option<Identity> {
    if at(head, 1080, 2) != Some(&[0x53, 0xef]) {
        return None;
    }
    let word = |place: usize| -> Option<u32> {
        Some(u32::from_le_bytes(
            at(head, 1024 + place, 4)?.try_into().ok()?,
        ))
    };
    let (compatible, incompatible, read_only) = (word(0x5c)?, word(0x60)?, word(0x64)?);
    let journal = compatible & 0x4 != 0;
    let kind = if incompatible & !0x16 != 0 || read_only & !0x7 != 0 {
        "ext4"
    } else if journal {
        "ext3"
    } else {
        "ext2"
    };
    Some(Identity {
        kind,
        uuid: uuid(head, 1024 + 0x68),
        label: text(head, 1024 + 0x78, 16),
    })
}

/// `MD_SB_MAGIC`, little-endian.
const RAID: [u8; 4] = 0xa92b_4efc_u32.to_le_bytes();

/// Whether a device of `size` bytes is a member of a Linux software RAID. Its superblock is
/// at the start (1.1), 4 KiB behind (1.2), or near the end (1.0, 0.90), where what precedes
/// it looks like a plain file system.
pub fn raid_member(
    size: u64,
    read: &mut dyn FnMut(u64, u32) -> Result<Vec<u8>>,
) -> Result<Option<Identity>> {
    let version_1_0 = (size / 512)
        .checked_sub(16)
        .map(|sector| (sector & !7) * 512);
    let version_0_90 = (size & !0xffff).checked_sub(0x1_0000);
    let places = [
        (Some(4096), 1),
        (Some(0), 1),
        (version_1_0, 1),
        (version_0_90, 0),
    ];
    for (place, major) in places {
        let Some(place) = place else { continue };
        let superblock = read(place, 128)?;
        // The version follows the magic: what is left over from another file is not taken.
        let version = u32::to_le_bytes(major);
        if superblock.starts_with(&RAID) && at(&superblock, 4, 4) == Some(&version) {
            return Ok(Some(Identity {
                kind: "linux_raid_member",
                uuid: (major == 1).then(|| uuid(&superblock, 16)).flatten(),
                label: (major == 1).then(|| text(&superblock, 32, 32)).flatten(),
            }));
        }
    }
    Ok(None)
}

fn at(bytes: &[u8], place: usize, length: usize) -> Option<&[u8]> {
    bytes.get(place..place.checked_add(length)?)
}

fn uuid(bytes: &[u8], place: usize) -> Option<String> {
    let bytes = at(bytes, place, 16)?;
    if bytes.iter().all(|byte| *byte == 0) {
        return None;
    }
    let mut text = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Some(text)
}

/// A little-endian number in upper-case digits.
fn serial(bytes: &[u8], place: usize, length: usize) -> Option<String> {
    let digits = at(bytes, place, length)?.iter().rev();
    Some(digits.map(|byte| format!("{byte:02X}")).collect())
}

/// Text up to its NUL, without trailing blanks; none where empty or not printable.
fn text(bytes: &[u8], place: usize, length: usize) -> Option<String> {
    let bytes = at(bytes, place, length)?.split(|byte| *byte == 0).next()?;
    let text = std::str::from_utf8(bytes).ok()?.trim_end();
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; HEAD as usize];
        for (at, bytes) in parts {
            head[*at..*at + bytes.len()].copy_from_slice(bytes);
        }
        head
    }

    const UUID: [u8; 16] = [
        0x0f, 0xc1, 0x2a, 0x33, 0x44, 0x55, 0x46, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee,
        0xff,
    ];
    const TEXT: &str = "0fc12a33-4455-4677-8899-aabbccddeeff";

    #[test]
    fn each_kind_with_its_identity() {
        let lvm_id = b"abcdefGHIJklmnOPQRstuvWXYZ012345";
        for (parts, kind, uuid, label) in [
            (
                vec![(4086, &b"SWAPSPACE2"[..]), (1036, &UUID), (1052, b"swap1")],
                "swap",
                Some(TEXT),
                Some("swap1"),
            ),
            (
                vec![(65526, b"SWAPSPACE2"), (1036, &UUID)],
                "swap",
                Some(TEXT),
                None,
            ),
            (
                vec![(4086, b"S1SUSPEND\0"), (1036, &UUID)],
                "swsuspend",
                Some(TEXT),
                None,
            ),
            (
                vec![(0, b"LUKS\xba\xbe\0\x01"), (168, TEXT.as_bytes())],
                "crypto_LUKS",
                Some(TEXT),
                None,
            ),
            (
                vec![
                    (0, b"LUKS\xba\xbe\0\x02"),
                    (24, b"vault"),
                    (168, TEXT.as_bytes()),
                ],
                "crypto_LUKS",
                Some(TEXT),
                Some("vault"),
            ),
            (
                vec![
                    (512, b"LABELONE"),
                    (532, &[32, 0, 0, 0]),
                    (536, b"LVM2 001"),
                    (544, lvm_id),
                ],
                "LVM2_member",
                Some("abcdef-GHIJ-klmn-OPQR-stuv-WXYZ-012345"),
                None,
            ),
            (
                vec![(0, b"XFSB"), (32, &UUID), (108, b"data")],
                "xfs",
                Some(TEXT),
                Some("data"),
            ),
            (
                vec![(65600, b"_BHRfS_M"), (65568, &UUID), (65835, b"pool")],
                "btrfs",
                Some(TEXT),
                Some("pool"),
            ),
            (
                vec![
                    (3, b"NTFS    "),
                    (72, &[0xef, 0xcd, 0xab, 0x90, 0x78, 0x56, 0x34, 0x12]),
                ],
                "ntfs",
                Some("1234567890ABCDEF"),
                None,
            ),
            (
                vec![
                    (82, b"FAT32   "),
                    (67, &[0x78, 0x56, 0xcd, 0xab]),
                    (71, b"NO NAME    "),
                ],
                "vfat",
                Some("ABCD-5678"),
                None,
            ),
            (
                vec![(54, b"FAT16   "), (39, &[1, 0, 0, 0]), (43, b"EFI        ")],
                "vfat",
                Some("0000-0001"),
                Some("EFI"),
            ),
            (
                vec![
                    (1080, &[0x53, 0xef]),
                    (1024 + 0x5c, &[4]),
                    (1024 + 0x60, &[0x46]),
                    (1024 + 0x68, &UUID),
                    (1024 + 0x78, b"root"),
                ],
                "ext4",
                Some(TEXT),
                Some("root"),
            ),
            (
                vec![
                    (1080, &[0x53, 0xef]),
                    (1024 + 0x5c, &[4]),
                    (1024 + 0x60, &[0x6]),
                ],
                "ext3",
                None,
                None,
            ),
            (vec![(1080, &[0x53, 0xef])], "ext2", None, None),
        ] {
            let expected = Identity {
                kind,
                uuid: uuid.map(str::to_owned),
                label: label.map(str::to_owned),
            };
            assert_eq!(identify(&head(&parts)), Some(expected), "{kind}");
        }
        assert_eq!(identify(&head(&[])), None);
        assert_eq!(identify(&head(&[(4087, b"SWAPSPACE2")])), None);
        assert_eq!(identify(&head(&[(512, b"LABELONE")])), None);
    }

    #[test]
    fn a_container_comes_before_what_was_there_before() {
        let head = head(&[(0, b"LUKS\xba\xbe\0\x02"), (1080, &[0x53, 0xef])]);
        assert_eq!(identify(&head).unwrap().kind, "crypto_LUKS");
    }

    #[test]
    fn a_raid_member_by_each_version_of_its_superblock() {
        let size = 10 * 1024 * 1024 + 512;
        let last = ((size / 512 - 16) & !7) * 512;
        for (place, major, uuid) in [
            (0, 1, Some(TEXT)),
            (4096, 1, Some(TEXT)),
            (last, 1, Some(TEXT)),
            (9 * 1024 * 1024 + 960 * 1024, 0, None),
        ] {
            let mut superblock = vec![0; 128];
            superblock[..4].copy_from_slice(&RAID);
            superblock[4] = major;
            superblock[16..32].copy_from_slice(&UUID);
            let found = raid_member(size as u64, &mut |at, _| {
                Ok(if at == place as u64 {
                    superblock.clone()
                } else {
                    vec![0; 128]
                })
            });
            let found = found.unwrap().unwrap();
            assert_eq!(found.uuid.as_deref(), uuid, "{place}");
            let wrong_version = raid_member(size as u64, &mut |at, _| {
                let mut other = superblock.clone();
                other[4] = 7;
                Ok(if at == place as u64 {
                    other
                } else {
                    vec![0; 128]
                })
            });
            assert_eq!(wrong_version.unwrap(), None, "{place}");
        }
        assert_eq!(raid_member(100, &mut |_, _| Ok(vec![])).unwrap(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(place in 0usize..70_000, bytes in prop::collection::vec(any::<u8>(), 0..64), kind in 0usize..MAGICS.len()) {
            let mut head = head(&[(MAGICS[kind].at, MAGICS[kind].bytes)]);
            for (index, byte) in bytes.iter().enumerate() {
                if let Some(old) = head.get_mut(place + index) {
                    *old = *byte;
                }
            }
            let _ = identify(&head);
            let _ = identify(&bytes);
        }
    }
}

/// Held against what the tools really write, and `blkid` reads.
#[cfg(test)]
mod oracle {
    use std::process::Command;

    use super::*;

    #[test]
    fn blkid_agrees() {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("device");
        for (tool, arguments) in [
            ("mkswap", &["-L", "swap 1"][..]),
            ("mkswap", &["-p", "65536"]),
            ("mke2fs", &["-q", "-F", "-t", "ext2", "-L", "two"]),
            ("mke2fs", &["-q", "-F", "-t", "ext3"]),
            ("mke2fs", &["-q", "-F", "-t", "ext4", "-L", "four"]),
        ] {
            std::fs::write(&device, vec![0; 16 << 20]).unwrap();
            let made = Command::new(tool).args(arguments).arg(&device).output();
            let asked = Command::new("blkid")
                .args(["-p", "-o", "export"])
                .arg(&device)
                .output();
            let (Ok(made), Ok(asked)) = (made, asked) else {
                assert!(
                    std::env::var("CI").is_err(),
                    "{tool} or blkid cannot be run"
                );
                println!("skipped: {tool} or blkid cannot be run");
                return;
            };
            assert!(made.status.success(), "{tool} {arguments:?}");
            let answer = String::from_utf8(asked.stdout).unwrap();
            let value = |name: &str| {
                let line = answer.lines().find_map(|line| line.strip_prefix(name));
                line.map(|value| value.replace('\\', ""))
            };
            let found = identify(&std::fs::read(&device).unwrap()[..HEAD as usize]).unwrap();
            assert_eq!(Some(found.kind.to_owned()), value("TYPE="), "{answer}");
            assert_eq!(found.uuid, value("UUID="), "{answer}");
            assert_eq!(found.label, value("LABEL="), "{answer}");
        }
    }
}
