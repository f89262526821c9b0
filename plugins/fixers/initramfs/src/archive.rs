//! An initrd as the kernel reads it: segments one after another, each a plain newc archive
//! or a compressed one, with NUL between and behind them.
//!
//! This follows `unpack_to_rootfs` (init/initramfs.c) step for step, because the question
//! is not where a tool thinks that the file ends but where the kernel does: `0` at a
//! multiple of four begins members, NUL is skipped, two magic bytes choose a decompressor,
//! anything else stops the kernel. What follows such a stop would never be unpacked, so an
//! initrd with one cannot be extended and the error says where it is.
//!
//! Memory: one decoder's window (at most 100 MiB by what the stream itself declares), the
//! names of the members (bounded), and the few small files that the caller wants.

use std::io::{self, Read};

use crate::decoder::{Decoder, Encoding};
use crate::members::Members;
use crate::newc;
use crate::source::Source;

/// What all segments together may inflate to.
pub const INFLATED: u64 = 1 << 30;
/// Memory that the names of an initrd and its kept files may take.
const NAMES: usize = 48 << 20;
/// Each file kept in memory may be this long.
const KEPT: u32 = 4 << 20;

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First byte.
    pub start: u64,
    /// Behind its last byte.
    pub end: u64,
    /// How it is stored.
    pub encoding: Encoding,
    /// Length of the archive in it, uncompressed.
    pub inflated: u64,
}

/// An initrd that the kernel reads to its end.
#[derive(Debug)]
pub struct Initrd {
    /// The segments in order; one at least.
    pub segments: Vec<Segment>,
    /// Length of the file.
    pub length: u64,
    /// What is in it.
    pub members: Members,
}

/// Why an initrd cannot be read to its end. Offsets are in the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The guest's file could not be read.
    #[error("reading stopped at byte {offset}: {source}")]
    Read {
        /// Where.
        offset: u64,
        /// The guest's answer.
        source: io::Error,
    },
    /// The file ends inside a segment.
    #[error("it ends at byte {offset}, inside the {encoding} segment that begins at byte {start}")]
    Truncated {
        /// Where the segment begins.
        start: u64,
        /// Where the file ends.
        offset: u64,
        /// The segment's encoding.
        encoding: Encoding,
    },
    /// A segment cannot be decoded or does not hold what the kernel unpacks.
    #[error("the {encoding} segment at byte {start} cannot be unpacked: {reason}")]
    Malformed {
        /// Where the segment begins.
        start: u64,
        /// Its encoding.
        encoding: Encoding,
        /// What is wrong with it.
        reason: String,
    },
    /// More comes out than is reasonable.
    #[error(
        "it inflates to more than {limit} bytes by the {encoding} segment that begins at byte {start}"
    )]
    TooLarge {
        /// Where the segment begins.
        start: u64,
        /// Its encoding.
        encoding: Encoding,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The names alone need more memory than is reasonable.
    #[error("it holds so many files that their names exceed {} MiB of memory", NAMES >> 20)]
    TooMany,
    /// A compression that is not decoded here.
    #[error(
        "the segment at byte {start} is compressed with {encoding}, which this plugin cannot unpack"
    )]
    Unsupported {
        /// Where the segment begins.
        start: u64,
        /// Its encoding.
        encoding: Encoding,
    },
    /// Something that is neither a segment nor padding.
    #[error("the bytes from {offset} on are no archive ({start:02x?}), and the kernel stops there")]
    Garbage {
        /// Where it begins.
        offset: u64,
        /// Its first bytes.
        start: Vec<u8>,
    },
    /// Nothing but NUL, or nothing at all.
    #[error("it holds no archive")]
    Empty,
}

/// Reads an initrd from its first byte. `wanted` says, by its name in the archive, of which
/// regular files the content is kept (up to 4 MiB each).
///
/// # Errors
/// See [`Error`].
pub fn read(file: impl Read, wanted: impl Fn(&str) -> bool) -> Result<Initrd, Error> {
    read_bounded(file, INFLATED, wanted)
}

fn read_bounded(
    file: impl Read,
    limit: u64,
    wanted: impl Fn(&str) -> bool,
) -> Result<Initrd, Error> {
    let mut source = Source::new(file, u64::MAX);
    let mut found = Initrd {
        segments: Vec::new(),
        length: 0,
        members: Members::default(),
    };
    let mut left = limit;
    loop {
        let fault = |source: &Source<_>, error| Error::Read {
            offset: source.position(),
            source: error,
        };
        if let Err(error) = source.skip_zeros() {
            return Err(fault(&source, error));
        }
        let start = source.position();
        let magic = match source.peek(16) {
            Ok(magic) => magic.to_vec(),
            Err(error) => return Err(fault(&source, error)),
        };
        if magic.is_empty() {
            break;
        }
        let after_plain = matches!(
            found.segments.last(),
            Some(Segment {
                encoding: Encoding::Plain,
                ..
            })
        );
        let encoding = match Encoding::recognise(&magic) {
            // After a plain archive the kernel wants even a compressed one aligned.
            Some(encoding)
                if start.is_multiple_of(4) || (encoding != Encoding::Plain && !after_plain) =>
            {
                encoding
            }
            _ => {
                return Err(Error::Garbage {
                    offset: start,
                    start: magic,
                });
            }
        };
        let inflated = read_segment(&mut source, encoding, left, &mut found.members, &wanted)?;
        if source.position() == start {
            return Err(Error::Malformed {
                start,
                encoding,
                reason: "nothing of it can be read".to_owned(),
            });
        }
        left -= inflated.min(left);
        found.segments.push(Segment {
            start,
            end: source.position(),
            encoding,
            inflated,
        });
    }
    if found.segments.is_empty() {
        return Err(Error::Empty);
    }
    found.length = source.position();
    Ok(found)
}

/// Reads one segment and says how long its archive is.
fn read_segment<R: Read>(
    source: &mut Source<R>,
    encoding: Encoding,
    limit: u64,
    members: &mut Members,
    wanted: &impl Fn(&str) -> bool,
) -> Result<u64, Error> {
    let start = source.position();
    let mut crowded = false;
    let take = |member| {
        members.add(member);
        if members.weight() > NAMES {
            crowded = true;
            return Err(io::Error::other("too many names"));
        }
        Ok(())
    };

    if encoding == Encoding::Plain {
        let result = newc::read(source, KEPT, wanted, take);
        return match result {
            Ok(()) => Ok(source.position() - start),
            Err(_) if crowded => Err(Error::TooMany),
            Err(error) => Err(classify(source, start, encoding, error)),
        };
    }

    let (result, inflated, exceeded) = match Decoder::new(encoding, source) {
        Err(error) => (Err(error), 0, false),
        Ok(None) => return Err(Error::Unsupported { start, encoding }),
        Ok(Some(decoder)) => {
            let mut archive = Source::new(decoder, limit);
            let result = newc::read(&mut archive, KEPT, wanted, take).and_then(|()| {
                let begun = archive.position() > 0;
                match archive.peek(1)? {
                    [] => Ok(()),
                    _ if begun => Err(io::Error::other("something else follows the archive in it")),
                    _ => Err(io::Error::other(
                        "what it holds is no cpio archive (an older RAM disk image?)",
                    )),
                }
            });
            (result, archive.position(), archive.exceeded())
        }
    };
    match result {
        Ok(()) => Ok(inflated),
        Err(_) if crowded => Err(Error::TooMany),
        Err(_) if exceeded => Err(Error::TooLarge {
            start,
            encoding,
            limit: INFLATED,
        }),
        Err(error) => Err(classify(source, start, encoding, error)),
    }
}

/// What a failure inside a segment means for the file.
fn classify<R: Read>(
    source: &Source<R>,
    start: u64,
    encoding: Encoding,
    error: io::Error,
) -> Error {
    if source.failed() {
        Error::Read {
            offset: source.position(),
            source: error,
        }
    } else if source.exhausted()
        // The zstd decoder hides the kind of what it met.
        && (error.kind() == io::ErrorKind::UnexpectedEof || encoding == Encoding::Zstd)
    {
        Error::Truncated {
            start,
            offset: source.position(),
            encoding,
        }
    } else {
        Error::Malformed {
            start,
            encoding,
            reason: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
