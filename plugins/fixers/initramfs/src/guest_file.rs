//! A file of the guest as a reader.

use std::cell::RefCell;
use std::io::{self, Read};

use cofferdam_sdk::{Error, Guest};

/// Bytes asked for at once; the contract moves at most 4 MiB a call.
const PIECE: u32 = 1 << 20;

/// Reads a file from its start. The host's answer to a read that failed is kept in
/// `failure`, because an [`io::Error`] cannot carry its code.
pub struct GuestFile<'a> {
    guest: &'a dyn Guest,
    path: &'a str,
    size: u64,
    offset: u64,
    piece: Vec<u8>,
    used: usize,
    failure: &'a RefCell<Option<Error>>,
}

impl<'a> GuestFile<'a> {
    /// `size` is only shown as the total of the progress.
    pub fn new(
        guest: &'a dyn Guest,
        path: &'a str,
        size: u64,
        failure: &'a RefCell<Option<Error>>,
    ) -> Self {
        Self {
            guest,
            path,
            size,
            offset: 0,
            piece: Vec::new(),
            used: 0,
            failure,
        }
    }

    fn fetch(&mut self) -> Result<(), Error> {
        if self.guest.cancelled() {
            return Err(Error::cancelled("the run was cancelled"));
        }
        self.guest.progress(self.offset, self.size, "bytes");
        self.piece = self.guest.read_at(self.path, self.offset, PIECE)?;
        self.offset += self.piece.len() as u64;
        self.used = 0;
        Ok(())
    }
}

impl Read for GuestFile<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.used >= self.piece.len()
            && let Err(error) = self.fetch()
        {
            let text = error.to_string();
            *self.failure.borrow_mut() = Some(error);
            return Err(io::Error::other(text));
        }
        let mut held = self.piece.get(self.used..).unwrap_or_default();
        let count = held.read(out)?;
        self.used += count;
        Ok(count)
    }
}
