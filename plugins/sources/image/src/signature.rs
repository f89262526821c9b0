//! What a file is, by its own bytes and never by its name.
//!
//! A raw disk has no signature: it is what is left when nothing else fits. So a format that
//! the host cannot read must be known here, else its container would be taken for the disk.

/// Bytes from the start of the file that [`recognise`] looks at; ISO 9660's volume
/// descriptor is the last of them.
pub const HEAD: u32 = 33 * 1024;
/// Bytes from the end: the footer of a VHD.
pub const TAIL: u32 = 512;

/// What a file was recognised as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// qcow2, version 2 or 3.
    Qcow2,
    /// A VMDK in one piece: its descriptor is inside.
    Vmdk,
    /// The text that says what a VMDK is made of.
    VmdkDescriptor,
    /// One piece of a VMDK, without the descriptor.
    VmdkExtent,
    /// Something that is not read, and what to do with it.
    Foreign(Foreign),
    /// Text of another kind.
    Text,
    /// Nothing known: a raw disk, if anything.
    Unknown,
}

/// A format that the host does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What it is, with its article.
    pub what: &'static str,
    /// What to do.
    pub remedy: Remedy,
}

/// How to come from a foreign format to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// `qemu-img convert -f FORMAT`.
    Convert(&'static str),
    /// A program and its arguments before the file's name.
    Unpack(&'static str),
    /// A sentence.
    Advice(&'static str),
}

/// A signature at a fixed place.
struct Magic {
    offset: usize,
    bytes: &'static [u8],
    foreign: Foreign,
}

const fn magic(offset: usize, bytes: &'static [u8], what: &'static str, remedy: Remedy) -> Magic {
    Magic {
        offset,
        bytes,
        foreign: Foreign { what, remedy },
    }
}

/// Footer and, in dynamic files, header of a VHD (Microsoft, "Virtual Hard Disk Image
/// Format Specification" 1.0, "Hard Disk Footer Format").
const VHD: &[u8] = b"conectix";

/// Sources: QEMU block/{vmdk,vdi,vhdx,qed,parallels}.c; VMware "Virtual Disk Format 5.0";
/// [MS-VHDX] 2.2.1; RFC 1952; APPNOTE.TXT 4.3.7; POSIX ustar; the xz, bzip2, zstd (RFC 8878),
/// LZ4 frame and 7z format documents; ECMA-119 8.1 (ISO 9660).
const FOREIGN: &[Magic] = &[
    magic(
        0,
        VHD,
        "a dynamic or differencing VHD",
        Remedy::Convert("vpc"),
    ),
    magic(0, b"vhdxfile", "a VHDX", Remedy::Convert("vhdx")),
    magic(
        64,
        &[0x7f, 0x10, 0xda, 0xbe],
        "a VirtualBox VDI",
        Remedy::Convert("vdi"),
    ),
    magic(0, b"QED\0", "a QED image", Remedy::Convert("qed")),
    magic(
        0,
        b"WithoutFreeSpace",
        "a Parallels image",
        Remedy::Convert("parallels"),
    ),
    magic(
        0,
        b"WithouFreSpacExt",
        "a Parallels image",
        Remedy::Convert("parallels"),
    ),
    magic(
        257,
        b"ustar",
        "a tar archive or an OVA",
        Remedy::Unpack("tar -xf"),
    ),
    magic(
        0,
        &[0x1f, 0x8b, 0x08],
        "compressed with gzip",
        Remedy::Unpack("gunzip"),
    ),
    magic(
        0,
        &[0xfd, b'7', b'z', b'X', b'Z', 0],
        "compressed with xz",
        Remedy::Unpack("unxz"),
    ),
    magic(
        0,
        &[0x28, 0xb5, 0x2f, 0xfd],
        "compressed with zstd",
        Remedy::Unpack("unzstd"),
    ),
    magic(
        0,
        &[0x04, 0x22, 0x4d, 0x18],
        "compressed with LZ4",
        Remedy::Unpack("unlz4"),
    ),
    magic(
        4,
        &[0x31, 0x41, 0x59, 0x26, 0x53, 0x59],
        "compressed with bzip2",
        Remedy::Unpack("bunzip2"),
    ),
    magic(0, b"PK\x03\x04", "a zip archive", Remedy::Unpack("unzip")),
    magic(
        0,
        &[b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c],
        "a 7z archive",
        Remedy::Unpack("7z x"),
    ),
    magic(
        32769,
        b"CD001",
        "an ISO 9660 image",
        Remedy::Advice(
            "it is a medium to install from, not a machine's disk; if it is a disk after all, set format=raw",
        ),
    ),
];

const QCOW1: Foreign = Foreign {
    what: "a qcow image of version 1",
    remedy: Remedy::Convert("qcow"),
};
const FIXED_VHD: Foreign = Foreign {
    what: "a fixed VHD (its footer is in the last sector)",
    remedy: Remedy::Convert("vpc"),
};

/// What the file is, by its first [`HEAD`] and last [`TAIL`] bytes (fewer where the file is
/// shorter).
pub fn recognise(head: &[u8], tail: &[u8]) -> Signature {
    if head.starts_with(b"QFI\xfb") {
        return match head.get(4..8) {
            Some([0, 0, 0, 1]) => Signature::Foreign(QCOW1),
            // Other versions are the host's to refuse: it names the version.
            _ => Signature::Qcow2,
        };
    }
    if let Some(vmdk) = vmdk(head) {
        return vmdk;
    }
    for magic in FOREIGN {
        let end = magic.offset.saturating_add(magic.bytes.len());
        if head.get(magic.offset..end) == Some(magic.bytes) {
            return Signature::Foreign(magic.foreign);
        }
    }
    // Virtual PC before 2004 wrote footers of 511 bytes.
    if tail.starts_with(VHD) || tail.get(1..).is_some_and(|tail| tail.starts_with(VHD)) {
        return Signature::Foreign(FIXED_VHD);
    }
    if is_text(head) {
        return Signature::Text;
    }
    Signature::Unknown
}

/// The VMDK family: `KDMV` is a hosted sparse extent (with or without a descriptor inside),
/// `COWD` one of ESX 3 and later snapshots, and the third one of vSphere 6.5's.
fn vmdk(head: &[u8]) -> Option<Signature> {
    if head.starts_with(b"KDMV") {
        // `descriptorOffset` in sectors at byte 28: 0 where the descriptor is a file. QEMU
        // makes room in pieces, too, and leaves it empty.
        let sectors = u64::from_le_bytes(head.get(28..36)?.try_into().ok()?);
        let place = sectors
            .checked_mul(512)
            .and_then(|place| usize::try_from(place).ok());
        let inside = match place.and_then(|place| head.get(place..)) {
            Some(text) => sectors != 0 && is_descriptor(text),
            // Farther away than is looked: the host will see.
            None => true,
        };
        return Some(if inside {
            Signature::Vmdk
        } else {
            Signature::VmdkExtent
        });
    }
    if is_descriptor(head) {
        return Some(Signature::VmdkDescriptor);
    }
    if head.starts_with(b"COWD") || head.starts_with(&[0xbe, 0xba, 0xfe, 0xca, 0, 0, 0, 0]) {
        return Some(Signature::VmdkExtent);
    }
    None
}

/// The line that a descriptor begins with, perhaps after a byte order mark and blank lines.
pub fn is_descriptor(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let head = head.trim_ascii_start();
    let first = head.split(|byte| matches!(byte, b'\n' | b'\r' | 0)).next();
    first.is_some_and(|line| {
        line.trim_ascii()
            .eq_ignore_ascii_case(b"# Disk DescriptorFile")
    })
}

/// Whether the bytes are text: valid UTF-8 (but for a character cut off at the end) without
/// control characters. No disk begins like that: its first sector has NULs.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            let valid = head.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(valid).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty()
        && text
            .chars()
            .all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_foreign_signature_is_found_at_its_place_only() {
        for magic in FOREIGN {
            let mut head = vec![0; HEAD as usize];
            head[magic.offset..magic.offset + magic.bytes.len()].copy_from_slice(magic.bytes);
            assert_eq!(
                recognise(&head, &[]),
                Signature::Foreign(magic.foreign),
                "{}",
                magic.foreign.what
            );
            head.insert(0, 0);
            assert_eq!(
                recognise(&head, &[]),
                Signature::Unknown,
                "{} one byte later",
                magic.foreign.what
            );
        }
    }

    #[test]
    fn a_footer_counts_at_the_end_only() {
        let mut tail = vec![0; 512];
        tail[..8].copy_from_slice(VHD);
        assert_eq!(recognise(&[0; 512], &tail), Signature::Foreign(FIXED_VHD));
        tail.rotate_right(1);
        assert_eq!(recognise(&[0; 512], &tail), Signature::Foreign(FIXED_VHD));
        tail.rotate_right(1);
        assert_eq!(recognise(&[0; 512], &tail), Signature::Unknown);
    }

    #[test]
    fn a_sparse_extent_is_a_disk_only_with_a_descriptor_inside() {
        let mut head = vec![0; 2048];
        head[..4].copy_from_slice(b"KDMV");
        assert_eq!(recognise(&head, &[]), Signature::VmdkExtent);
        head[28] = 1;
        assert_eq!(recognise(&head, &[]), Signature::VmdkExtent);
        head[512..533].copy_from_slice(b"# Disk DescriptorFile");
        assert_eq!(recognise(&head, &[]), Signature::Vmdk);
        head[28..36].fill(0xff);
        assert_eq!(recognise(&head, &[]), Signature::Vmdk);
        // Too short for a header: nothing that can be read.
        assert_eq!(recognise(b"KDMV", &[]), Signature::Text);
    }

    #[test]
    fn descriptors_and_text_are_told_from_disks() {
        for (head, expected) in [
            (
                &b"# Disk DescriptorFile\nversion=1\n"[..],
                Signature::VmdkDescriptor,
            ),
            (
                b"\xef\xbb\xbf\r\n# disk descriptorfile \r\n",
                Signature::VmdkDescriptor,
            ),
            (b"# Disk DescriptorFile\0\0\0", Signature::VmdkDescriptor),
            (b"# Disk Descriptor\n", Signature::Text),
            ("Grüße\n".as_bytes(), Signature::Text),
            (b"cut off \xc3", Signature::Text),
            (b"\xebc\x90\0\0", Signature::Unknown),
            (b"\xff\xfe", Signature::Unknown),
            (b"", Signature::Unknown),
        ] {
            assert_eq!(recognise(head, &[]), expected, "{head:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(head in prop::collection::vec(any::<u8>(), 0..600)) {
            let with_boot_code = [&[0xeb, 0x63, 0x90, 0x00][..], &head].concat();
            if head.len() < 200 {
                prop_assert_eq!(recognise(&with_boot_code, &[]), Signature::Unknown);
            }
            let _ = recognise(&head, &head);
        }
    }
}
