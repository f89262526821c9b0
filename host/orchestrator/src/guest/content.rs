//! A file's planned content, as pieces of what the file system holds and of new bytes.

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
    New(Arc<[u8]>),
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
                Self::New(bytes.get(from..to).unwrap_or_default().into())
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
                    (Piece::New(bytes), Piece::New(other)) => Arc::ptr_eq(bytes, other),
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
    pub fn appended(&self, bytes: Vec<u8>) -> Self {
        let mut content = self.clone();
        content.push(Piece::New(bytes.into()));
        content
    }

    /// The content with `bytes` over those at `offset`; the range must be inside it.
    #[must_use]
    pub fn patched(&self, offset: u64, bytes: Vec<u8>) -> Self {
        let end = offset + bytes.len() as u64;
        let mut content = Self::default();
        for piece in self.range(0, offset) {
            content.push(piece);
        }
        content.push(Piece::New(bytes.into()));
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
