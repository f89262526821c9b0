//! A buffered reader that knows exactly how far it was consumed.
//!
//! Where an initrd's segments end is only known by decompressing them, so every byte that
//! a decoder takes is counted, and nothing is read ahead of what the decoder consumed: the
//! buffer stays here. The same type carries compressed bytes (from the guest's file) and
//! decompressed ones (from a decoder), where its limit bounds what an archive inflates to.

use std::io::{self, BufRead, Read};

/// Bytes fetched at once from what is beneath.
const BUFFER: usize = 256 * 1024;

/// See the module. `position` counts consumed bytes from 0.
#[derive(Debug)]
pub struct Source<R> {
    inner: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    position: u64,
    limit: u64,
    ended: bool,
    failed: bool,
    exceeded: bool,
}

impl<R: Read> Source<R> {
    /// Reads `inner`, of which at most `limit` bytes may be consumed.
    pub fn new(inner: R, limit: u64) -> Self {
        Self {
            inner,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            position: 0,
            limit,
            ended: false,
            failed: false,
            exceeded: false,
        }
    }

    /// How many bytes were consumed.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether everything was consumed and the end was seen.
    pub fn exhausted(&self) -> bool {
        self.ended && self.start == self.end
    }

    /// Whether what is beneath reported an error.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// Whether the limit stopped it.
    pub fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// The next `count` bytes without consuming them; fewer at the end. `count` is small.
    pub fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.end - self.start < count && !self.ended {
            self.refill()?;
        }
        let held = self.held();
        Ok(held.get(..count).unwrap_or(held))
    }

    /// Consumes the NUL bytes that are next and says how many there were.
    pub fn skip_zeros(&mut self) -> io::Result<u64> {
        let mut skipped = 0;
        loop {
            let held = self.fill_buf()?;
            let zeros = held.iter().take_while(|&&byte| byte == 0).count();
            let done = zeros < held.len() || held.is_empty();
            self.consume(zeros);
            skipped += zeros as u64;
            if done {
                return Ok(skipped);
            }
        }
    }

    /// Consumes `count` bytes; an end before that is `UnexpectedEof`.
    pub fn skip(&mut self, mut count: u64) -> io::Result<()> {
        while count > 0 {
            let held = self.fill_buf()?.len() as u64;
            if held == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let step = held.min(count);
            self.consume(usize::try_from(step).unwrap_or(usize::MAX));
            count -= step;
        }
        Ok(())
    }

    /// Gives back bytes that were consumed last and turned out to belong to what follows.
    pub fn unread(&mut self, bytes: &[u8]) {
        let mut joined = bytes.to_vec();
        joined.extend_from_slice(self.held());
        self.start = 0;
        self.end = joined.len();
        joined.resize(joined.len().max(self.buffer.len()), 0);
        self.buffer = joined;
        self.position = self.position.saturating_sub(bytes.len() as u64);
    }

    fn held(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or(&[])
    }

    /// Fetches once, keeping what is held.
    fn refill(&mut self) -> io::Result<()> {
        if self.position >= self.limit {
            // One byte beyond the limit tells "too long" from "exactly as long".
            let mut probe = [0];
            if self.inner.read(&mut probe)? == 0 {
                self.ended = true;
                return Ok(());
            }
            self.exceeded = true;
            return Err(io::Error::other("more bytes than the limit allows"));
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or(&mut []);
        loop {
            match self.inner.read(room) {
                Ok(0) => self.ended = true,
                Ok(count) => self.end = (self.end + count).min(self.buffer.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.failed = true;
                    return Err(error);
                }
            }
            return Ok(());
        }
    }
}

impl<R: Read> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end && !self.ended {
            self.refill()?;
        }
        Ok(self.held())
    }

    fn consume(&mut self, amount: usize) {
        let amount = amount.min(self.end - self.start);
        self.start += amount;
        self.position += amount as u64;
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let held = self.fill_buf()?;
        let count = held.len().min(out.len());
        for (to, from) in out.iter_mut().zip(held) {
            *to = *from;
        }
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte a call: the hardest reader to buffer.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let take = out.len().min(1);
            self.0.read(&mut out[..take])
        }
    }

    #[test]
    fn peeks_and_counts_over_single_bytes() {
        let mut source = Source::new(Trickle(b"\0\0abcdef"), u64::MAX);
        assert_eq!(source.peek(3).unwrap(), b"\0\0a");
        assert_eq!(source.position(), 0);
        assert_eq!(source.skip_zeros().unwrap(), 2);
        source.skip(2).unwrap();
        assert_eq!(source.position(), 4);
        assert_eq!(source.peek(100).unwrap(), b"cdef");
        assert!(!source.exhausted());
        assert_eq!(
            source.skip(5).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        assert_eq!(source.position(), 8);
        assert!(source.exhausted());
    }

    #[test]
    fn what_is_given_back_is_read_again() {
        let mut source = Source::new(&b"abcdef"[..], u64::MAX);
        source.skip(4).unwrap();
        source.unread(b"cd");
        assert_eq!(source.position(), 2);
        assert_eq!(source.peek(9).unwrap(), b"cdef");
    }

    #[test]
    fn a_limit_is_met_exactly_or_exceeded() {
        let mut exact = Source::new(&b"1234"[..], 4);
        let mut text = String::new();
        exact.read_to_string(&mut text).unwrap();
        assert!(!exact.exceeded());

        let long = vec![0; BUFFER * 2 + 1];
        let mut over = Source::new(&long[..], BUFFER as u64);
        assert!(over.skip(long.len() as u64).is_err());
        assert!(over.exceeded());
    }
}
