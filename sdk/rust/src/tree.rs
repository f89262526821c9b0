//! Reading a tree of files: what fixers and inspectors have in common.

use crate::{
    error::{Error, OptionalExt, Result},
    path,
    types::{Entry, FileKind, Metadata, Page},
};

/// How much one read asks for; the contract moves at most 4 MiB a call.
const READ: u32 = 1 << 20;
/// How many entries one listing asks for.
const LISTING: u32 = 1000;

/// A tree of files, read-only. Symbolic links resolve inside it and never lead out.
pub trait FileTree {
    /// Metadata of a path; a link at its end is followed where `follow` says so.
    fn stat(&self, path: &str, follow: bool) -> Result<Metadata>;
    /// Up to `limit` entries of a directory; `cursor` is empty to begin.
    fn list_directory(&self, path: &str, cursor: &str, limit: u32) -> Result<Page>;
    /// Up to `length` bytes (at most 4 MiB) of a regular file; fewer at its end.
    fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>>;
    /// Target of a symbolic link.
    fn read_link(&self, path: &str) -> Result<String>;

    /// Whether something is at the path, links followed.
    fn exists(&self, path: &str) -> Result<bool> {
        Ok(self.stat(path, true).optional()?.is_some())
    }

    /// Whether a regular file is at the path, links followed.
    fn is_file(&self, path: &str) -> Result<bool> {
        let found = self.stat(path, true).optional()?;
        Ok(found.is_some_and(|metadata| metadata.kind == FileKind::Regular))
    }

    /// Whether a directory is at the path, links followed.
    fn is_directory(&self, path: &str) -> Result<bool> {
        let found = self.stat(path, true).optional()?;
        Ok(found.is_some_and(|metadata| metadata.kind == FileKind::Directory))
    }

    /// A regular file's whole content; `limit` where it is longer than `most` bytes.
    fn read(&self, path: &str, most: u64) -> Result<Vec<u8>> {
        let Metadata { kind, size, .. } = self.stat(path, true)?;
        if kind != FileKind::Regular {
            return Err(Error::invalid(format!("{path} is no regular file")));
        }
        if size > most {
            return Err(Error::limit(format!(
                "{path} has {size} bytes, more than the {most} that are read of it"
            )));
        }
        // The size is the guest's word: the buffer grows with what really arrives.
        let mut content = Vec::new();
        while (content.len() as u64) < size {
            let offset = content.len() as u64;
            let length = u32::try_from(size - offset).unwrap_or(READ).min(READ);
            let piece = self.read_at(path, offset, length)?;
            if piece.is_empty() {
                break;
            }
            content.extend_from_slice(&piece);
        }
        Ok(content)
    }

    /// A whole text file; `invalid` where it is not UTF-8, `limit` beyond `most` bytes.
    fn read_to_string(&self, path: &str, most: u64) -> Result<String> {
        String::from_utf8(self.read(path, most)?)
            .map_err(|error| Error::invalid(format!("{path} is not UTF-8 text: {error}")))
    }

    /// All of a directory's entries, sorted by name.
    fn list(&self, directory: &str) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.list_directory(directory, &cursor, LISTING)?;
            entries.extend(page.entries);
            match page.next {
                Some(next) => cursor = next,
                None => break,
            }
        }
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(entries)
    }

    /// Every path below a directory, depth first and sorted, links not followed; `limit`
    /// beyond `most` paths.
    fn walk(&self, directory: &str, most: usize) -> Result<Vec<(String, Entry)>> {
        let mut found = Vec::new();
        let mut waiting = vec![directory.to_string()];
        while let Some(directory) = waiting.pop() {
            let mut below = Vec::new();
            for entry in self.list(&directory)? {
                let path = path::join(&directory, &entry.name);
                if entry.kind == FileKind::Directory {
                    below.push(path.clone());
                }
                found.push((path, entry));
                if found.len() > most {
                    return Err(Error::limit(format!(
                        "{directory} and what is below have more than {most} entries"
                    )));
                }
            }
            waiting.extend(below.into_iter().rev());
        }
        Ok(found)
    }
}
