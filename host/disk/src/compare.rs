//! Whether two disks hold the same bytes.

use crate::{CancelFlag, DiskError, Image, Progress};
use serde::Serialize;

/// The answer of [`compare`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CompareResult {
    /// Whether the disks read the same; where one is longer, whether the rest is zero.
    pub identical: bool,
    /// Offset of the first differing byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_difference: Option<u64>,
    /// Size of the first disk in bytes.
    pub size_a: u64,
    /// Size of the second disk in bytes.
    pub size_b: u64,
}

const WINDOW: u64 = 2 << 20;

/// Compares the content of two disks as `qemu-img compare` does: a longer disk is the
/// same if what it has more is zero. Ranges that both know to be zero are not read.
///
/// # Errors
/// What reading yields, and [`DiskError::Cancelled`].
pub fn compare(
    a: &dyn Image,
    b: &dyn Image,
    progress: &dyn Progress,
    cancel: &CancelFlag,
) -> Result<CompareResult, DiskError> {
    let (size_a, size_b) = (a.size(), b.size());
    let total = size_a.max(size_b);
    let mut result = CompareResult {
        identical: true,
        first_difference: None,
        size_a,
        size_b,
    };
    let (mut left, mut right) = (Cursor::new(a), Cursor::new(b));
    let mut at = 0;
    while at < total {
        cancel.check()?;
        let (zero_a, end_a) = left.known(at, total)?;
        let (zero_b, end_b) = right.known(at, total)?;
        let mut end = end_a.min(end_b);
        if !(zero_a && zero_b) {
            end = end.min(at.saturating_add(WINDOW));
            let length = end.saturating_sub(at);
            let difference = {
                let (one, two) = (
                    left.bytes(at, length, zero_a)?,
                    right.bytes(at, length, zero_b)?,
                );
                one.iter().zip(two).position(|(x, y)| x != y)
            };
            if let Some(difference) = difference {
                result.identical = false;
                result.first_difference = Some(at.saturating_add(difference as u64));
                return Ok(result);
            }
        }
        at = end;
        progress.update(at, total);
    }
    Ok(result)
}

/// One disk during a comparison: its extents, and a buffer.
struct Cursor<'a> {
    image: &'a dyn Image,
    extents: crate::ExtentWalk<'a>,
    current: Option<crate::Extent>,
    buffer: Vec<u8>,
}

impl<'a> Cursor<'a> {
    fn new(image: &'a dyn Image) -> Self {
        Self {
            image,
            extents: crate::ExtentWalk::whole(image),
            current: None,
            buffer: vec![0; WINDOW as usize],
        }
    }

    /// Whether the bytes at `at` are known to be zero, and up to where that holds. Beyond
    /// the end of the disk all is zero.
    fn known(&mut self, at: u64, total: u64) -> Result<(bool, u64), DiskError> {
        if at >= self.image.size() {
            return Ok((true, total));
        }
        loop {
            if let Some(extent) = self.current
                && extent.end() > at
            {
                return Ok((extent.kind.reads_as_zero(), extent.end()));
            }
            match self.extents.next() {
                Some(extent) => self.current = Some(extent?),
                None => return Ok((false, self.image.size())),
            }
        }
    }

    fn bytes(&mut self, at: u64, length: u64, zero: bool) -> Result<&[u8], DiskError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = self.buffer.get_mut(..length).unwrap_or_default();
        if zero {
            bytes.fill(0);
        } else {
            self.image.read_at(at, bytes)?;
        }
        Ok(bytes)
    }
}
