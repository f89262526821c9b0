//! Looking at disk images that lie in folders which the operator named.
//!
//! A program that may ask this host about images must not be able to ask about every
//! file of it. A path is resolved first, symbolic links included, and has to end in one
//! of the roots; whether something exists outside of them is not told.

use cofferdam_contract::types::ErrorCode;
use cofferdam_disk::{DiskError, Extent, ImageInfo, OpenImage};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why an image cannot be looked at.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DiskAccessError {
    /// No such file in any root.
    #[error("there is no file {path:?} in the folders that may be looked into{}", hint(*roots))]
    NotFound {
        /// The path asked for.
        path: String,
        /// How many roots there are.
        roots: usize,
    },
    /// The image itself.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

fn hint(roots: usize) -> &'static str {
    match roots {
        0 => "; none is configured, name some in `file_roots` of the configuration",
        _ => "",
    }
}

impl DiskAccessError {
    /// The contract's code for this failure.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound { .. } | Self::Disk(DiskError::NotFound { .. }) => ErrorCode::NotFound,
            Self::Disk(DiskError::Truncated { .. } | DiskError::Corrupt { .. }) => {
                ErrorCode::Corrupt
            }
            Self::Disk(DiskError::Unsupported { .. } | DiskError::BackingFile { .. }) => {
                ErrorCode::Unsupported
            }
            Self::Disk(_) => ErrorCode::Invalid,
        }
    }
}

/// A part of an image's map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapPart {
    /// Ranges in order.
    pub extents: Vec<Extent>,
    /// Where the next part begins; none at the end of the disk.
    pub next: Option<u64>,
}

/// What is known about the image at `path`.
///
/// # Errors
/// See [`DiskAccessError`].
pub fn info(roots: &[PathBuf], path: &str) -> Result<ImageInfo, DiskAccessError> {
    Ok(open(roots, path)?.info())
}

/// At most `limit` ranges of the image at `path`, beginning with the one that holds the
/// byte `from`.
///
/// # Errors
/// See [`DiskAccessError`].
pub fn map(
    roots: &[PathBuf],
    path: &str,
    from: u64,
    limit: usize,
) -> Result<MapPart, DiskAccessError> {
    let image = open(roots, path)?;
    let mut extents = Vec::new();
    for extent in cofferdam_disk::map(image.as_ref()) {
        let extent = extent?;
        if extent.end() <= from {
            continue;
        }
        if extents.len() >= limit {
            return Ok(MapPart {
                extents,
                next: Some(extent.offset),
            });
        }
        extents.push(extent);
    }
    Ok(MapPart {
        extents,
        next: None,
    })
}

fn open(roots: &[PathBuf], path: &str) -> Result<Arc<OpenImage>, DiskAccessError> {
    let not_found = || DiskAccessError::NotFound {
        path: path.chars().take(1024).collect(),
        roots: roots.len(),
    };
    if !Path::new(path).is_absolute() {
        return Err(not_found());
    }
    let resolved = std::fs::canonicalize(path).map_err(|_| not_found())?;
    let inside = roots
        .iter()
        .filter_map(|root| std::fs::canonicalize(root).ok())
        .any(|root| resolved.starts_with(root));
    if !inside || !resolved.is_file() {
        return Err(not_found());
    }
    Ok(cofferdam_disk::open_path(&resolved, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_in_the_roots_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let inside = root.join("inside.img");
        let outside = folder.path().join("outside.img");
        std::fs::write(&inside, vec![1_u8; 4096]).unwrap();
        std::fs::write(&outside, vec![1_u8; 4096]).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("link.img")).unwrap();
        let roots = [root.clone()];
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        assert_eq!(info(&roots, &text(&inside)).unwrap().virtual_size, 4096);
        for path in [
            text(&outside),
            text(&root.join("link.img")),
            text(&root.join("../outside.img")),
            text(&root.join("missing.img")),
            text(&root),
            "inside.img".to_owned(),
            String::new(),
            "/\0".to_owned(),
        ] {
            let error = info(&roots, &path).unwrap_err();
            assert_eq!(error.code(), ErrorCode::NotFound, "{path}: {error}");
        }
        let error = info(&[], &text(&inside)).unwrap_err();
        assert!(error.to_string().contains("file_roots"), "{error}");
    }

    #[test]
    fn a_map_comes_in_parts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse.img");
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(1 << 20).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[7; 4096], 512 << 10).unwrap();
        drop(file);
        let roots = [folder.path().to_owned()];
        let path = path.to_str().unwrap();
        let all = map(&roots, path, 0, 100).unwrap();
        assert_eq!(all.next, None);
        let mut parts = Vec::new();
        let mut from = 0;
        loop {
            let part = map(&roots, path, from, 1).unwrap();
            parts.extend(part.extents);
            match part.next {
                Some(next) => from = next,
                None => break,
            }
        }
        assert_eq!(parts, all.extents);
        assert_eq!(
            parts.iter().map(|extent| extent.length).sum::<u64>(),
            1 << 20
        );
    }
}
