//! Containers that are not read, told by their magic, so that they are not taken for raw
//! disks: a copy of a container's own bytes looks like success and boots nowhere.
//!
//! Sources: [MS-VHDX] 2.2.1 (file type identifier); "Virtual Hard Disk Image Format
//! Specification" 1.0, hard disk footer; VirtualBox `VDICore.h` (`VDI_IMAGE_SIGNATURE`);
//! RFC 1952 2.3.1; the .xz file format 2.1.1.1; PKWARE APPNOTE 4.3.7; POSIX ustar header.

use crate::folder::SourceFile;
use crate::{DiskError, bytes};

/// Offset, magic, and what it is.
const MAGICS: [(usize, &[u8], &str); 8] = [
    (0, b"vhdxfile", "the VHDX format"),
    (0, b"conectix", "the VHD format"),
    (0x40, &[0x7f, 0x10, 0xda, 0xbe], "the VDI format"),
    (0, &[0x1f, 0x8b], "gzip compression"),
    (0, &[0xfd, b'7', b'z', b'X', b'Z', 0], "xz compression"),
    (0, &[0x28, 0xb5, 0x2f, 0xfd], "zstd compression"),
    (0, b"PK\x03\x04", "the ZIP format"),
    (257, b"ustar", "the tar format (an OVA is one)"),
];
/// Length of a VHD's footer, which begins with its magic.
const VHD_FOOTER: u64 = 512;

/// Refuses a file that is a known container. `head` are its first bytes.
///
/// # Errors
/// [`DiskError::Unsupported`] that names the container.
pub(crate) fn refuse(file: &SourceFile, head: &[u8]) -> Result<(), DiskError> {
    for (at, magic, what) in MAGICS {
        if bytes::slice(head, at, magic.len()) == Some(magic) {
            return Err(unsupported(file, what));
        }
    }
    if let Some(footer) = file.size().checked_sub(VHD_FOOTER)
        && file.read_vec(footer, 8, "a VHD footer")? == b"conectix"
    {
        return Err(unsupported(file, "the VHD format (fixed size)"));
    }
    Ok(())
}

fn unsupported(file: &SourceFile, what: &str) -> DiskError {
    file.unsupported(format!("{what}, unless it is given as raw"))
}
