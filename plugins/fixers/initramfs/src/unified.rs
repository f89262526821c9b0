//! Unified kernel images: kernel, initrd and command line in one signed PE file.
//!
//! A PE file begins with `MZ`; at 0x3C stands the offset of `PE\0\0`, behind which a COFF
//! header (20 bytes: number of sections at 2, size of the optional header at 16) and the
//! section table (40 bytes each, the name first) follow (Microsoft PE/COFF specification;
//! UAPI.5 Unified Kernel Image: sections `.linux` and `.initrd`). An ordinary kernel with
//! an EFI stub is a PE file too, with other sections.

/// How much of a file's start [`is_unified`] needs to see.
pub const START: u64 = 64 * 1024;

/// Whether a file that starts like this is a unified kernel image.
pub fn is_unified(start: &[u8]) -> bool {
    sections(start).is_some_and(|names| {
        names
            .iter()
            .any(|name| name == b".linux\0\0" || name == b".initrd\0")
    })
}

fn sections(start: &[u8]) -> Option<Vec<[u8; 8]>> {
    if !start.starts_with(b"MZ") {
        return None;
    }
    let header = u32::from_le_bytes(start.get(0x3C..0x40)?.try_into().ok()?) as usize;
    let coff = start.get(header..)?.strip_prefix(b"PE\0\0")?;
    let count = u16::from_le_bytes(coff.get(2..4)?.try_into().ok()?);
    let optional = u16::from_le_bytes(coff.get(16..18)?.try_into().ok()?);
    let table = coff.get(20 + usize::from(optional)..)?;
    let rows = table.chunks_exact(40).take(usize::from(count));
    rows.map(|row| row.first_chunk::<8>().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pe(names: &[&[u8; 8]]) -> Vec<u8> {
        let mut bytes = vec![0; 0x80];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3C] = 0x80;
        bytes.extend(b"PE\0\0");
        let mut coff = [0; 20];
        coff[2] = names.len() as u8;
        coff[16] = 16;
        bytes.extend(coff);
        bytes.extend([0; 16]);
        for name in names {
            bytes.extend(*name);
            bytes.extend([0; 32]);
        }
        bytes
    }

    #[test]
    fn sections_tell() {
        assert!(is_unified(&pe(&[
            b".text\0\0\0",
            b".linux\0\0",
            b".initrd\0"
        ])));
        assert!(!is_unified(&pe(&[b".setup\0\0", b".text\0\0\0"])));
        assert!(!is_unified(b"\x1f\x8b"));
        let whole = pe(&[b".linux\0\0"]);
        for cut in 0..whole.len() {
            assert!(!is_unified(&whole[..cut]));
        }
        let mut outside = whole;
        outside[0x3F] = 0xFF;
        assert!(!is_unified(&outside));
    }
}
