//! The LZ4 legacy frame, which is what the kernel's initramfs code reads (`lz4 -l`).
//!
//! Magic 0x184C2102, then blocks of a little-endian u32 (compressed size) and that many
//! bytes, each of which inflates to at most 8 MiB. The format has no end mark, no size and
//! no checksum ([lz4_Frame_format.md], "Legacy frame"): it ends with the file. The kernel
//! (lib/decompress_unlz4.c) takes a repeated magic as one more frame of the same output,
//! and, since 5.9, four NUL bytes as the end. So the end found here is the kernel's, and
//! anything else behind the last block is an error there and here.
//!
//! [lz4_Frame_format.md]: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md

use std::io::{self, BufRead, Read};

use crate::source::Source;

/// First four bytes, little-endian.
pub const MAGIC: u32 = 0x184C_2102;
/// What a block inflates to at most: `LZ4_DEFAULT_UNCOMPRESSED_CHUNK_SIZE` of the kernel.
const BLOCK: usize = 8 * 1024 * 1024;
/// `LZ4_compressBound(BLOCK)`: the kernel refuses longer ones.
const COMPRESSED_BLOCK: usize = BLOCK + BLOCK / 255 + 16;

/// Decodes one run of legacy frames.
pub struct Decoder<'a, R> {
    source: &'a mut Source<R>,
    compressed: Vec<u8>,
    block: Vec<u8>,
    start: usize,
    end: usize,
    begun: bool,
    done: bool,
}

impl<'a, R: Read> Decoder<'a, R> {
    /// Begins at the magic.
    pub fn new(source: &'a mut Source<R>) -> Self {
        Self {
            source,
            compressed: Vec::new(),
            block: Vec::new(),
            start: 0,
            end: 0,
            begun: false,
            done: false,
        }
    }

    fn next_block(&mut self) -> io::Result<()> {
        self.start = 0;
        self.end = 0;
        let size = loop {
            let word: [u8; 4] = match self.source.peek(4)?.try_into() {
                Ok(word) => word,
                // Fewer than four bytes are left: the kernel takes them as the end.
                Err(_) if !self.begun => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(_) => {
                    self.done = true;
                    return Ok(());
                }
            };
            match u32::from_le_bytes(word) {
                MAGIC => {
                    self.begun = true;
                    self.source.consume(4);
                }
                _ if !self.begun => return Err(invalid("it is no LZ4 legacy frame")),
                0 => {
                    self.done = true;
                    return Ok(());
                }
                size => break size as usize,
            }
        };
        if size > COMPRESSED_BLOCK {
            return Err(invalid("an LZ4 block is longer than any can be"));
        }
        self.source.consume(4);
        // Grown as it arrives, so that a size alone allocates nothing.
        self.compressed.clear();
        let taken = (&mut *self.source)
            .take(size as u64)
            .read_to_end(&mut self.compressed)?;
        if taken < size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.block.resize(BLOCK, 0);
        self.end = lz4_flex::block::decompress_into(&self.compressed, &mut self.block)
            .map_err(|error| invalid(&format!("an LZ4 block does not decode: {error}")))?;
        Ok(())
    }
}

impl<R: Read> Read for Decoder<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.start >= self.end {
            if self.done || out.is_empty() {
                return Ok(0);
            }
            self.next_block()?;
        }
        let count = out.len().min(self.end - self.start);
        let held = self.block.get(self.start..).unwrap_or(&[]);
        for (to, from) in out.iter_mut().zip(held) {
            *to = *from;
        }
        self.start += count;
        Ok(count)
    }
}

/// A legacy frame of these bytes.
pub fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_le_bytes().to_vec();
    for block in bytes.chunks(BLOCK) {
        let compressed = lz4_flex::block::compress(block);
        // A block is at most COMPRESSED_BLOCK long, which fits.
        out.extend_from_slice(&(compressed.len() as u32).to_le_bytes());
        out.extend_from_slice(&compressed);
    }
    out
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> io::Result<(Vec<u8>, u64)> {
        let mut source = Source::new(bytes, u64::MAX);
        let mut out = Vec::new();
        Decoder::new(&mut source).read_to_end(&mut out)?;
        Ok((out, source.position()))
    }

    #[test]
    fn several_blocks_come_back() {
        let bytes: Vec<u8> = (0..BLOCK + 70_000).map(|i| (i / 7 % 251) as u8).collect();
        let frame = compress(&bytes);
        let (out, end) = decode(&frame).unwrap();
        assert!(out == bytes);
        assert_eq!(end, frame.len() as u64);
    }

    #[test]
    fn frames_join_and_zeros_end_them() {
        let mut two = compress(b"first ");
        two.extend(compress(b"second"));
        let end = two.len() as u64;
        two.extend([0; 8]);
        assert_eq!(decode(&two).unwrap(), (b"first second".to_vec(), end));
    }

    #[test]
    fn what_the_kernel_refuses_is_an_error() {
        let mut followed = compress(b"data");
        followed.extend(b"070701");
        assert!(decode(&followed).is_err());
        assert!(decode(b"\x02\x21").is_err());
        assert!(decode(b"\x02\x21\x4c\x19data").is_err());
        let cut = compress(b"some data to cut");
        assert_eq!(
            decode(&cut[..cut.len() - 1]).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
