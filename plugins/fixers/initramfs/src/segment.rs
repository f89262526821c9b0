//! The bytes that are appended to an initrd.
//!
//! By the kernel's buffer-format document an initramfs is any number of archives one after
//! another, and a later file replaces an earlier one of its name. So nothing of the initrd
//! is rewritten: cutting it to its old length undoes the edit.
//!
//! Gzip is used where the kernel is known to read it, because the guest's `/boot` is often
//! small; a plain archive needs nothing of the kernel. Behind an LZ4 archive neither would
//! be found by kernels before 5.9, which take everything up to the file's end as LZ4
//! (`lib/decompress_unlz4.c`): there it is one more LZ4 frame, which all of them continue
//! with, and which is aligned inside what it inflates to.

use std::collections::BTreeSet;

use crate::archive::{Initrd, Segment};
use crate::decoder::Encoding;
use crate::lz4;
use crate::members::{Members, Node};
use crate::newc::Writer;

/// A newc archive that goes over what an initrd holds already.
#[derive(Debug)]
pub struct Overlay<'a> {
    members: &'a Members,
    folders: BTreeSet<String>,
    writer: Writer,
}

impl<'a> Overlay<'a> {
    /// Over these members; everything gets this modification time (seconds since 1970).
    pub fn new(members: &'a Members, modified: u32) -> Self {
        Self {
            members,
            folders: BTreeSet::new(),
            writer: Writer::new(modified),
        }
    }

    /// Adds a file and the folders above it that the initrd lacks. `path` has no link in
    /// it: the kernel would replace a link by a folder of its name.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        let mut above = Vec::new();
        let mut rest = path;
        while let Some((folder, _)) = rest.rsplit_once('/') {
            above.push(folder);
            rest = folder;
        }
        for folder in above.into_iter().rev() {
            let there = matches!(self.members.get(folder), Some(Node::Directory));
            if !there && self.folders.insert(folder.to_owned()) {
                self.writer.directory(folder);
            }
        }
        self.writer.file(path, content);
    }

    /// How long the archive is so far, in bytes.
    pub fn len(&self) -> usize {
        self.writer.len()
    }

    /// What to append to the initrd, padding included, and how it is stored. `gzip` says
    /// that the kernel is known to unpack gzip.
    pub fn finish(self, initrd: &Initrd, gzip: bool) -> (Vec<u8>, Encoding) {
        let archive = self.writer.finish();
        if let Some(last) = initrd.segments.last().filter(|last| open_lz4(last, initrd)) {
            let mut aligned = vec![0; padding(last.inflated)];
            aligned.extend_from_slice(&archive);
            return (lz4::compress(&aligned), Encoding::Lz4);
        }
        let mut bytes = vec![0; padding(initrd.length)];
        if gzip {
            gzip_into(&mut bytes, &archive);
            (bytes, Encoding::Gzip)
        } else {
            bytes.extend_from_slice(&archive);
            (bytes, Encoding::Plain)
        }
    }
}

/// Whether the file ends with LZ4 blocks that a kernel would read on from.
fn open_lz4(last: &Segment, initrd: &Initrd) -> bool {
    last.encoding == Encoding::Lz4 && last.end == initrd.length
}

/// Bytes up to the next multiple of four.
fn padding(length: u64) -> usize {
    ((4 - length % 4) % 4) as usize
}

/// RFC 1952, without a name and a time, so that equal bytes give equal bytes.
fn gzip_into(out: &mut Vec<u8>, bytes: &[u8]) {
    // ID1 ID2, CM deflate, no flags, MTIME 0, XFL 0, OS unknown.
    out.extend_from_slice(&[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255]);
    out.extend_from_slice(&miniz_oxide::deflate::compress_to_vec(bytes, 6));
    out.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    // ISIZE is the length modulo 2^32 by definition.
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive;
    use crate::newc::{Member, SYMLINK};

    /// Appends to an initrd and reads both back.
    fn append(initrd: &[u8], gzip: bool) -> (Initrd, Encoding) {
        let before = archive::read(initrd, |_| true).unwrap();
        let mut overlay = Overlay::new(&before.members, 9);
        overlay.file("usr/lib/modules/6.1/new.ko", b"new");
        let (bytes, encoding) = overlay.finish(&before, gzip);
        let whole = [initrd, &bytes].concat();
        (archive::read(&whole[..], |_| true).unwrap(), encoding)
    }

    fn initrd() -> Vec<u8> {
        let mut writer = Writer::new(0);
        writer.directory("usr");
        writer.file("usr/odd", b"odd length");
        writer.finish()
    }

    #[test]
    fn what_is_appended_is_found() {
        let mut zipped = Vec::new();
        gzip_into(&mut zipped, &initrd());
        let mut odd = zipped.clone();
        odd.extend([0; 3]);
        let frame = lz4::compress(&initrd());
        let mut padded_frame = frame.clone();
        padded_frame.extend([0; 5]);
        let cases = [
            (initrd(), Encoding::Gzip, 2),
            (zipped, Encoding::Gzip, 2),
            (odd, Encoding::Gzip, 2),
            (frame, Encoding::Lz4, 1),
            (padded_frame, Encoding::Gzip, 2),
        ];
        for (bytes, expected, segments) in cases {
            for gzip in [true, false] {
                let (after, encoding) = append(&bytes, gzip);
                let plain = expected == Encoding::Gzip && !gzip;
                assert_eq!(encoding, if plain { Encoding::Plain } else { expected });
                // A plain archive behind a plain one is one run of members.
                if !plain {
                    assert_eq!(after.segments.len(), segments);
                }
                assert_eq!(
                    after.members.content("usr/lib/modules/6.1/new.ko"),
                    Some(&b"new"[..])
                );
                assert!(after.members.get("usr/odd").is_some());
            }
        }
    }

    #[test]
    fn folders_come_once_and_only_where_they_lack() {
        let before = archive::read(&initrd()[..], |_| true).unwrap();
        let mut overlay = Overlay::new(&before.members, 9);
        overlay.file("usr/lib/a", b"");
        overlay.file("usr/lib/b", b"");
        let (bytes, _) = overlay.finish(&before, false);
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(text.matches("usr/lib\0").count(), 1);
        assert_eq!(text.matches("usr\0").count(), 0);
    }

    #[test]
    fn a_link_stays_a_link() {
        let mut members = Members::default();
        members.add(Member {
            name: "lib".to_owned(),
            mode: SYMLINK,
            content: Some(b"usr/lib".to_vec()),
        });
        let path = members.resolve("lib/modules/6.1").unwrap();
        let mut overlay = Overlay::new(&members, 0);
        overlay.file(&format!("{path}/a.ko"), b"");
        for member in overlay.folders {
            assert_ne!(member, "lib");
        }
    }
}
