//! A file's planned content, as pieces of what the file system holds and of new bytes.

use std::ops::{Deref, Range};
use std::sync::Arc;

/// Where a file of the unedited guest can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseFile {
    /// Number of its file system.
    pub tree: u32,
    /// A path of it in that file system.
    pub path: String,
}

/// A run of bytes.
#[derive(Debug, Clone)]
pub enum Piece {
    /// From a file of the unedited guest.
    Base {
        /// Which file.
        file: BaseFile,
        /// First byte in it.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
    /// New bytes.
    New(NewBytes),
}

/// Some of the bytes that an edit carried. Parts and copies share them: every edit keeps
/// the content before and after it, and a patch in a large file must not cost its size.
#[derive(Debug, Clone)]
pub struct NewBytes {
    carried: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl From<Vec<u8>> for NewBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            range: 0..bytes.len(),
            carried: Arc::new(bytes),
        }
    }
}

impl NewBytes {
    /// The part between these places (clamped).
    fn part(&self, from: usize, to: usize) -> Self {
        let place = |at: usize| self.range.start.saturating_add(at).min(self.range.end);
        Self {
            carried: Arc::clone(&self.carried),
            range: place(from)..place(to),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.carried, &other.carried) && self.range == other.range
    }
}

impl Deref for NewBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.carried.get(self.range.clone()).unwrap_or_default()
    }
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Self::Base { length, .. } => *length,
            Self::New(bytes) => bytes.len() as u64,
        }
    }

    /// The part of this piece from `start` (clamped), `length` bytes at most.
    fn part(&self, start: u64, length: u64) -> Self {
        let start = start.min(self.len());
        let length = length.min(self.len() - start);
        match self {
            Self::Base { file, offset, .. } => Self::Base {
                file: file.clone(),
                offset: offset + start,
                length,
            },
            Self::New(bytes) => {
                let from = usize::try_from(start).unwrap_or(bytes.len());
                let to = usize::try_from(start + length).unwrap_or(bytes.len());
                Self::New(bytes.part(from, to))
            }
        }
    }
}

/// The whole content of a file.
#[derive(Debug, Clone, Default)]
pub struct Content {
    pieces: Vec<Piece>,
}

impl Content {
    /// What a file of the unedited guest holds.
    pub fn of_base(file: BaseFile, length: u64) -> Self {
        let mut content = Self::default();
        content.push(Piece::Base {
            file,
            offset: 0,
            length,
        });
        content
    }

    /// New bytes only.
    pub fn new(bytes: Vec<u8>) -> Self {
        let mut content = Self::default();
        content.push(Piece::New(bytes.into()));
        content
    }

    fn push(&mut self, piece: Piece) {
        if piece.len() > 0 {
            self.pieces.push(piece);
        }
    }

    /// Number of bytes.
    pub fn len(&self) -> u64 {
        self.pieces.iter().map(Piece::len).sum()
    }

    /// How many pieces it is made of.
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether both are made of the same pieces. Equal bytes from different places are
    /// not found equal: nothing is read.
    pub fn is_same(&self, other: &Self) -> bool {
        self.pieces.len() == other.pieces.len()
            && self
                .pieces
                .iter()
                .zip(&other.pieces)
                .all(|pieces| match pieces {
                    (
                        Piece::Base {
                            file,
                            offset,
                            length,
                        },
                        Piece::Base {
                            file: other_file,
                            offset: other_offset,
                            length: other_length,
                        },
                    ) => (file, offset, length) == (other_file, other_offset, other_length),
                    (Piece::New(bytes), Piece::New(other)) => bytes.is_same(other),
                    _ => false,
                })
    }

    /// The pieces that make up `length` bytes from `offset`; fewer at the end.
    pub fn range(&self, offset: u64, length: u64) -> Vec<Piece> {
        let mut found = Vec::new();
        let (mut skip, mut left) = (offset, length);
        for piece in &self.pieces {
            if left == 0 {
                break;
            }
            if skip >= piece.len() {
                skip -= piece.len();
                continue;
            }
            let part = piece.part(skip, left);
            skip = 0;
            left -= part.len();
            found.push(part);
        }
        found
    }

    /// The content with `bytes` added at its end.
    #[must_use]
    pub fn appended(&self, bytes: impl Into<NewBytes>) -> Self {
        let mut content = self.clone();
        content.push(Piece::New(bytes.into()));
        content
    }

    /// The content with `bytes` over those at `offset`; the range must be inside it.
    #[must_use]
    pub fn patched(&self, offset: u64, bytes: impl Into<NewBytes>) -> Self {
        let bytes = bytes.into();
        let end = offset + bytes.len() as u64;
        let mut content = Self::default();
        for piece in self.range(0, offset) {
            content.push(piece);
        }
        content.push(Piece::New(bytes));
        for piece in self.range(end, u64::MAX - end) {
            content.push(piece);
        }
        content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(content: &Content, offset: u64, length: u64) -> Vec<u8> {
        content
            .range(offset, length)
            .into_iter()
            .flat_map(|piece| match piece {
                Piece::Base { offset, length, .. } => (offset..offset + length)
                    .map(|at| u8::try_from(at % 251).unwrap())
                    .collect::<Vec<u8>>(),
                Piece::New(bytes) => bytes.to_vec(),
            })
            .collect()
    }

    #[test]
    fn patching_a_large_file_keeps_its_bytes_once() {
        let carried = |content: &Content| -> Vec<*const u8> {
            let new = content.pieces.iter().filter_map(|piece| match piece {
                Piece::New(bytes) => Some(bytes.carried.as_ptr()),
                Piece::Base { .. } => None,
            });
            new.collect()
        };
        let whole = Content::new(vec![7; 1 << 20]);
        let patched = whole.patched(1000, vec![1]).patched(5000, vec![2]);
        assert_eq!(patched.len(), whole.len());
        let large = carried(&whole)[0];
        let shared = carried(&patched).iter().filter(|at| **at == large).count();
        assert_eq!((patched.pieces(), shared), (5, 3));
    }

    proptest::proptest! {
        #[test]
        fn edits_match_a_vector(
            size in 0_u64..2000,
            edits in proptest::collection::vec((0_u64..3000, proptest::collection::vec(0_u8.., 0..50)), 0..12),
            ranges in proptest::collection::vec((0_u64..3000, 0_u64..3000), 1..6),
        ) {
            let base = BaseFile { tree: 0, path: "/f".to_owned() };
            let mut model: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let mut content = Content::of_base(base, size);
            for (at, bytes) in edits {
                let at_index = usize::try_from(at).unwrap();
                if at_index + bytes.len() <= model.len() {
                    content = content.patched(at, bytes.clone());
                    model[at_index..at_index + bytes.len()].copy_from_slice(&bytes);
                } else {
                    content = content.appended(bytes.clone());
                    model.extend(bytes);
                }
            }
            proptest::prop_assert_eq!(content.len(), model.len() as u64);
            for (offset, length) in ranges {
                let from = usize::try_from(offset).unwrap().min(model.len());
                let to = (from + usize::try_from(length).unwrap()).min(model.len());
                proptest::prop_assert_eq!(render(&content, offset, length), &model[from..to]);
            }
        }
    }
}
