//! The cpio format that the kernel unpacks: "newc", read and written.
//!
//! A member is a header of 110 ASCII bytes (magic 070701, or 070702 with a checksum, then
//! thirteen fields of eight hexadecimal digits), the NUL-terminated name, NUL to a multiple
//! of four, the content, NUL to a multiple of four. By the kernel's
//! [buffer-format document][1] and its reader (init/initramfs.c) the member `TRAILER!!!`
//! ends nothing but the scope of hard links, and an archive may do without it; NUL may
//! stand between members, but a member begins at a multiple of four.
//!
//! [1]: https://www.kernel.org/doc/html/latest/driver-api/early-userspace/buffer-format.html

use std::io::{self, Read};

use crate::source::Source;

/// Length of a header.
const HEADER: usize = 110;
/// `PATH_MAX`: the kernel skips members with longer names or link targets.
const PATH_MAX: u32 = 4096;
/// Name of the member that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// File type bits of a mode, and the types that matter here (`stat.h`).
pub const TYPE_MASK: u32 = 0o170_000;
/// A directory.
pub const DIRECTORY: u32 = 0o040_000;
/// A regular file.
pub const REGULAR: u32 = 0o100_000;
/// A symbolic link.
pub const SYMLINK: u32 = 0o120_000;

/// A member as it was read.
#[derive(Debug)]
pub struct Member {
    /// Its name as stored, lossily as text.
    pub name: String,
    /// File type and permission bits.
    pub mode: u32,
    /// Its content, where the caller wanted it or it is a link's target.
    pub content: Option<Vec<u8>>,
}

/// Reads members until something comes that is none, and hands each to `take`. `wanted`
/// says of which regular files the content is wanted; longer than `most` bytes is not kept.
///
/// # Errors
/// `InvalidData` for what the kernel would stop at, `UnexpectedEof` for a member cut short,
/// and what the source reports.
pub fn read<R: Read>(
    source: &mut Source<R>,
    most: u32,
    mut wanted: impl FnMut(&str) -> bool,
    mut take: impl FnMut(Member) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        source.skip_zeros()?;
        match source.peek(1)? {
            [b'0'] => {}
            _ => return Ok(()),
        }
        if !source.position().is_multiple_of(4) {
            return Err(invalid(
                "a member does not begin at a multiple of four bytes",
            ));
        }
        if let Some(member) = read_member(source, most, &mut wanted)? {
            take(member)?;
        }
    }
}

fn read_member<R: Read>(
    source: &mut Source<R>,
    most: u32,
    wanted: &mut impl FnMut(&str) -> bool,
) -> io::Result<Option<Member>> {
    let mut header = [0; HEADER];
    source.read_exact(&mut header)?;
    let (magic, fields) = header.split_at(6);
    let summed = match magic {
        b"070701" => false,
        b"070702" => true,
        b"070707" => {
            return Err(invalid(
                "a cpio archive of the old ASCII kind, which Linux does not unpack",
            ));
        }
        _ => return Err(invalid("no cpio header where one should be")),
    };
    let mut numbers = [0_u32; 13];
    for (number, digits) in numbers.iter_mut().zip(fields.chunks(8)) {
        *number = hex(digits)?;
    }
    let [_, mode, _, _, _, _, size, _, _, _, _, name_size, checksum] = numbers;
    let kind = mode & TYPE_MASK;
    let padded = u64::from(size).next_multiple_of(4);

    if name_size == 0 || name_size > PATH_MAX || (kind == SYMLINK && size > PATH_MAX) {
        let name_end = (HEADER as u64 + u64::from(name_size)).next_multiple_of(4);
        source.skip(name_end - HEADER as u64)?;
        source.skip(padded)?;
        return Ok(None);
    }
    let mut name = vec![0; (HEADER + name_size as usize).next_multiple_of(4) - HEADER];
    source.read_exact(&mut name)?;
    let text = name.get(..name_size as usize).unwrap_or(&[]);
    let Some(length) = text.iter().position(|&byte| byte == 0) else {
        return Err(invalid("a name without its final NUL"));
    };
    let name = String::from_utf8_lossy(text.get(..length).unwrap_or(&[])).into_owned();

    let keep = kind == SYMLINK || (kind == REGULAR && size <= most && wanted(&name));
    let mut content = None;
    if keep {
        let mut bytes = Vec::new();
        (&mut *source)
            .take(u64::from(size))
            .read_to_end(&mut bytes)?;
        if bytes.len() < size as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        content = Some(bytes);
    } else if summed && kind == REGULAR {
        check_sum(source, size, checksum)?;
    } else {
        source.skip(u64::from(size))?;
    }
    // The last member's padding may be missing: the kernel does not need it.
    let mut padding = padded - u64::from(size);
    while padding > 0 && !source.peek(1)?.is_empty() {
        source.skip(1)?;
        padding -= 1;
    }
    if name == TRAILER {
        return Ok(None);
    }
    Ok(Some(Member {
        name,
        mode,
        content,
    }))
}

/// 070702: the sum of the content's bytes, which kernels since 5.19 check.
fn check_sum<R: Read>(source: &mut Source<R>, size: u32, expected: u32) -> io::Result<()> {
    let mut left = size as usize;
    let mut sum = 0_u32;
    let mut chunk = [0; 4096];
    while left > 0 {
        let step = left.min(chunk.len());
        let part = chunk.get_mut(..step).unwrap_or(&mut []);
        source.read_exact(part)?;
        for &byte in part.iter() {
            sum = sum.wrapping_add(u32::from(byte));
        }
        left -= step;
    }
    if sum == expected {
        Ok(())
    } else {
        Err(invalid("a member's checksum does not match"))
    }
}

fn hex(digits: &[u8]) -> io::Result<u32> {
    digits.iter().try_fold(0_u32, |number, &digit| {
        (digit as char)
            .to_digit(16)
            .map(|value| number << 4 | value)
            .ok_or_else(|| invalid("a field of a cpio header is not hexadecimal"))
    })
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

/// Writes an archive whose bytes depend on nothing but its members and `modified`.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    modified: u32,
    inode: u32,
}

impl Writer {
    /// All members get this modification time, in seconds since 1970.
    pub fn new(modified: u32) -> Self {
        Self {
            bytes: Vec::new(),
            modified,
            inode: 0,
        }
    }

    /// A directory, mode 0755, owned by root.
    pub fn directory(&mut self, name: &str) {
        self.member(name, DIRECTORY | 0o755, 2, &[]);
    }

    /// A regular file, mode 0644, owned by root.
    pub fn file(&mut self, name: &str, content: &[u8]) {
        self.member(name, REGULAR | 0o644, 1, content);
    }

    /// How long it is so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The archive with its trailer.
    pub fn finish(mut self) -> Vec<u8> {
        self.modified = 0;
        self.inode = u32::MAX;
        self.member(TRAILER, 0, 1, &[]);
        self.bytes
    }

    fn member(&mut self, name: &str, mode: u32, links: u32, content: &[u8]) {
        // Numbered from 1: equal numbers with several links would be hard links.
        self.inode = self.inode.wrapping_add(1);
        let fields = [
            self.inode,
            mode,
            0,
            0,
            links,
            self.modified,
            // Callers add files of the guest, which the host reads in full first.
            content.len() as u32,
            0,
            0,
            0,
            0,
            name.len() as u32 + 1,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bytes: &[u8]) -> io::Result<(Vec<(String, u32)>, u64)> {
        let mut source = Source::new(bytes, u64::MAX);
        let mut found = Vec::new();
        read(
            &mut source,
            100,
            |_| false,
            |member| {
                found.push((member.name, member.mode));
                Ok(())
            },
        )?;
        Ok((found, source.position()))
    }

    fn sample() -> Vec<u8> {
        let mut writer = Writer::new(1_700_000_000);
        writer.directory("lib");
        writer.file("lib/a", b"hello");
        writer.finish()
    }

    #[test]
    fn what_is_written_is_read() {
        let (found, end) = names(&sample()).unwrap();
        assert_eq!(
            found,
            [
                ("lib".to_owned(), DIRECTORY | 0o755),
                ("lib/a".to_owned(), REGULAR | 0o644)
            ]
        );
        assert_eq!(end, sample().len() as u64);
    }

    #[test]
    fn zeros_may_stand_between_and_a_trailer_ends_nothing() {
        let mut two = sample();
        two.extend([0; 512]);
        two.extend(sample());
        assert_eq!(names(&two).unwrap().0.len(), 4);
    }

    #[test]
    fn a_member_out_of_step_is_refused() {
        let mut two = sample();
        two.extend([0; 6]);
        two.extend(sample());
        assert!(names(&two).is_err());
    }

    #[test]
    fn every_cut_inside_a_member_is_noticed() {
        let whole = sample();
        let ends: Vec<usize> = {
            // A member's end is no damage: archives may do without a trailer.
            let mut writer = Writer::new(0);
            writer.directory("lib");
            let first = writer.len();
            writer.file("lib/a", b"hello");
            // The content's padding may be missing as well.
            vec![
                0,
                first,
                writer.len() - 3,
                writer.len() - 2,
                writer.len() - 1,
                writer.len(),
            ]
        };
        for cut in 0..whole.len() {
            assert_eq!(
                names(&whole[..cut]).is_ok(),
                ends.contains(&cut),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn checksums_count() {
        let mut bytes = sample();
        let second = 110 + 6; // the header, then "lib" with its NUL and padding
        bytes[second + 5] = b'2';
        assert!(names(&bytes).is_err());
        let sum: u32 = b"hello".iter().map(|&byte| u32::from(byte)).sum();
        bytes[second + 102..second + 110].copy_from_slice(format!("{sum:08X}").as_bytes());
        assert!(names(&bytes).is_ok());
    }
}
