//! The compressions that the kernel unpacks an initramfs with, each as a reader that stops
//! exactly where its stream ends and has checked the stream's own checksums by then.
//!
//! | encoding | magic | end and checks | source |
//! |---|---|---|---|
//! | gzip | 1F 8B | deflate's last block, then CRC-32 and length | RFC 1952 |
//! | bzip2 | 42 5A | end-of-stream mark, block and stream CRC | bzip2 format |
//! | lzma | 5D 00 | end marker or the length in the header; no checksum | LZMA specification |
//! | xz | FD 37 7A 58 5A 00 | block checks, index, footer | xz file format 1.2 |
//! | lz4 | 02 21 4C 18 | see [`crate::lz4`] | LZ4 legacy frame |
//! | zstd | 28 B5 2F FD | last block, xxh64 if it is there, content size if it is there | RFC 8878 |
//!
//! The kernel tells them apart by the first two bytes (`compressed_formats` in
//! lib/decompress.c). It knows lzo (89 4C) too; no maintained pure Rust decoder for its
//! container exists, so that one is named and refused.

use std::fmt;
use std::io::{self, BufRead, Read};

use lzma_rust2::{Action, LzmaStream, Status, StreamResult, XzStream};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::lz4;
use crate::source::Source;

/// Dictionary that xz and lzma streams may ask for, in KiB: `xz -9` needs 65 MiB.
const DICTIONARY_KIB: u32 = 100 * 1024;

/// How a segment is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A plain newc archive.
    Plain,
    /// RFC 1952.
    Gzip,
    /// bzip2.
    Bzip2,
    /// LZMA alone.
    Lzma,
    /// xz.
    Xz,
    /// lzop, which is not decoded.
    Lzo,
    /// LZ4 legacy frames.
    Lz4,
    /// RFC 8878.
    Zstd,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "uncompressed",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Lzma => "lzma",
            Self::Xz => "xz",
            Self::Lzo => "lzo",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

impl Encoding {
    /// Which one begins with these bytes; none for anything else. At least two are needed.
    pub fn recognise(start: &[u8]) -> Option<Self> {
        Some(match start {
            [b'0', ..] => Self::Plain,
            [0x1F, 0x8B, ..] => Self::Gzip,
            [0x42, 0x5A, ..] => Self::Bzip2,
            [0x5D, 0x00, ..] => Self::Lzma,
            [0xFD, 0x37, ..] => Self::Xz,
            [0x89, 0x4C, ..] => Self::Lzo,
            [0x02, 0x21, ..] => Self::Lz4,
            [0x28, 0xB5, ..] => Self::Zstd,
            _ => return None,
        })
    }
}

/// A decoder in the middle of a stream.
#[expect(
    clippy::large_enum_variant,
    reason = "one exists at a time, on the stack of the function that reads a segment"
)]
pub enum Decoder<'a, R: Read> {
    /// gzip.
    Gzip(flate2::bufread::GzDecoder<&'a mut Source<R>>),
    /// bzip2.
    Bzip2(bzip2::bufread::BzDecoder<&'a mut Source<R>>),
    /// lzma.
    Lzma(Pump<'a, R, LzmaStream>),
    /// xz.
    Xz(Pump<'a, R, XzStream>),
    /// lz4.
    Lz4(lz4::Decoder<'a, R>),
    /// zstd, with the number of bytes it gave.
    Zstd(StreamingDecoder<&'a mut Source<R>, FrameDecoder>, u64),
}

impl<'a, R: Read> Decoder<'a, R> {
    /// Begins at the magic; none for an encoding that is not decoded.
    pub fn new(encoding: Encoding, source: &'a mut Source<R>) -> io::Result<Option<Self>> {
        Ok(Some(match encoding {
            Encoding::Plain | Encoding::Lzo => return Ok(None),
            Encoding::Gzip => Self::Gzip(flate2::bufread::GzDecoder::new(source)),
            Encoding::Bzip2 => Self::Bzip2(bzip2::bufread::BzDecoder::new(source)),
            Encoding::Lzma => Self::Lzma(Pump::new(
                source,
                LzmaStream::new_mem_limit(DICTIONARY_KIB, None),
            )),
            Encoding::Xz => Self::Xz(Pump::new(
                source,
                XzStream::new_mem_limit(false, DICTIONARY_KIB),
            )),
            Encoding::Lz4 => Self::Lz4(lz4::Decoder::new(source)),
            Encoding::Zstd => {
                Self::Zstd(StreamingDecoder::new(source).map_err(io::Error::other)?, 0)
            }
        }))
    }
}

impl<R: Read> Read for Decoder<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.read(out),
            Self::Bzip2(decoder) => decoder.read(out),
            Self::Lzma(decoder) => decoder.read(out),
            Self::Xz(decoder) => decoder.read(out),
            Self::Lz4(decoder) => decoder.read(out),
            Self::Zstd(decoder, given) => {
                let count = decoder.read(out)?;
                *given += count as u64;
                if count == 0 && !out.is_empty() {
                    check_zstd(&decoder.decoder, *given)?;
                }
                Ok(count)
            }
        }
    }
}

/// The checks of RFC 8878 (sections 3.1.1 and 3.1.1.1.4) that the decoder leaves to its user.
fn check_zstd(decoder: &FrameDecoder, given: u64) -> io::Result<()> {
    let declared = decoder.content_size();
    if declared != 0 && declared != given {
        return Err(invalid(&format!(
            "the frame declares {declared} bytes and holds {given}"
        )));
    }
    match (
        decoder.get_checksum_from_data(),
        decoder.get_calculated_checksum(),
    ) {
        (Some(stored), Some(found)) if stored != found => {
            Err(invalid("the checksum does not match"))
        }
        _ => Ok(()),
    }
}

/// A decoder that is handed slices and says how much of them it took.
pub trait Stream {
    /// One step; `Finish` when no more input comes.
    fn step(&mut self, input: &[u8], out: &mut [u8], action: Action) -> io::Result<StreamResult>;
    /// Bytes that it took and that are not part of the stream, once it has ended.
    fn unused(&self) -> &[u8];
}

impl Stream for XzStream {
    fn step(&mut self, input: &[u8], out: &mut [u8], action: Action) -> io::Result<StreamResult> {
        self.process(input, out, action)
    }

    fn unused(&self) -> &[u8] {
        &[]
    }
}

impl Stream for LzmaStream {
    fn step(&mut self, input: &[u8], out: &mut [u8], action: Action) -> io::Result<StreamResult> {
        self.process(input, out, action)
    }

    fn unused(&self) -> &[u8] {
        self.unused_input()
    }
}

/// Feeds a [`Stream`] from a source, consuming exactly what it took.
pub struct Pump<'a, R, S> {
    source: &'a mut Source<R>,
    stream: S,
    done: bool,
}

impl<'a, R: Read, S: Stream> Pump<'a, R, S> {
    fn new(source: &'a mut Source<R>, stream: S) -> Self {
        Self {
            source,
            stream,
            done: false,
        }
    }
}

impl<R: Read, S: Stream> Read for Pump<'_, R, S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        while !self.done {
            let input = self.source.fill_buf()?;
            let action = if input.is_empty() {
                Action::Finish
            } else {
                Action::Run
            };
            let result = self.stream.step(input, out, action)?;
            let stuck = result.bytes_consumed == 0 && result.bytes_produced == 0;
            let ended = input.is_empty();
            self.source.consume(result.bytes_consumed);
            self.done = result.status == Status::StreamEnd;
            if self.done {
                self.source.unread(self.stream.unused());
            }
            if result.bytes_produced > 0 {
                return Ok(result.bytes_produced);
            }
            if stuck && !self.done {
                return Err(if ended {
                    io::ErrorKind::UnexpectedEof.into()
                } else {
                    invalid("the decoder makes no progress")
                });
            }
        }
        Ok(0)
    }
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}
