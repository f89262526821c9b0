//! Which of the host's files a run may name.
//!
//! A migration reads disks and writes folders that its inputs name by path. Whoever holds
//! the state folder may name any; a run that came over the network may name what is below
//! the folders that the operator opened for runs.

use crate::runs::artifact::store_error;
use cofferdam_contract::types::{Error, ErrorCode};
use cofferdam_store::{AuditFilter, NewPin, PageRequest, Store};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What the host knows of a migration's run: below which folders it may name files, and
/// which plugins it pins.
pub trait Reach: Send + Sync {
    /// Writes down that a run pins these plugins, beside those of its workflow.
    ///
    /// # Errors
    /// They cannot be written down.
    fn pinned(&self, run: &str, pins: &[NewPin]) -> Result<(), Error>;

    /// The folders; none for a run that may name any file.
    ///
    /// # Errors
    /// The run is not known.
    fn roots(&self, run: &str) -> Result<Option<Vec<PathBuf>>, Error>;
}

/// Any file for runs that the owner of the state folder started, which the audit log knows;
/// for others what is below the operator's folders.
#[derive(Default)]
pub struct RunReach {
    roots: Vec<PathBuf>,
    store: OnceLock<Store>,
}

impl RunReach {
    /// With the folders that are open for runs.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self {
            roots,
            store: OnceLock::new(),
        }
    }

    /// Tells it the host's store, which is opened after the steps are made. Until then no
    /// run has an owner.
    pub fn look_in(&self, store: Store) {
        // A second time can only be the same.
        let _ = self.store.set(store);
    }
}

impl Reach for RunReach {
    fn pinned(&self, run: &str, pins: &[NewPin]) -> Result<(), Error> {
        match self.store.get() {
            Some(store) => store
                .pin_plugins(run, pins)
                .map_err(|error| store_error(&error)),
            None => Ok(()),
        }
    }

    fn roots(&self, run: &str) -> Result<Option<Vec<PathBuf>>, Error> {
        let filter = AuditFilter {
            action: Some("run.start".to_owned()),
            target: Some(run.to_owned()),
            ..AuditFilter::default()
        };
        let page = PageRequest {
            limit: 1,
            cursor: None,
        };
        let started = match self.store.get() {
            Some(store) => {
                store
                    .audit(&filter, &page)
                    .map_err(|error| store_error(&error))?
                    .items
            }
            None => Vec::new(),
        };
        let owned = started.first().is_some_and(|record| record.via == "local");
        Ok((!owned).then(|| self.roots.clone()))
    }
}

/// Checks that `path` is absolute and lies below the roots, links followed as far as it
/// exists.
///
/// # Errors
/// `invalid` and `denied`.
pub(super) fn check(path: &Path, roots: Option<&[PathBuf]>) -> Result<(), Error> {
    if !path.is_absolute() {
        return Err(Error::invalid(format!(
            "the path {} is not absolute, and the host does not know from where it counts",
            path.display()
        )));
    }
    let Some(roots) = roots else {
        return Ok(());
    };
    let real = real(path);
    let inside = real.as_ref().is_some_and(|real| {
        roots
            .iter()
            .filter_map(|root| root.canonicalize().ok())
            .any(|root| real.starts_with(root))
    });
    if inside {
        return Ok(());
    }
    let shown: Vec<String> = roots
        .iter()
        .map(|root| root.display().to_string())
        .collect();
    Err(Error::new(
        ErrorCode::Denied,
        format!(
            "{} is not below a folder that is open for runs",
            path.display()
        ),
    )
    .with_hint(if shown.is_empty() {
        "the operator opens folders with `file-roots` in cofferdam.toml".to_owned()
    } else {
        format!("files below {} may be named", shown.join(", "))
    }))
}

/// The path with its existing part resolved; none if what does not exist leads upwards.
fn real(path: &Path) -> Option<PathBuf> {
    let mut rest = Vec::new();
    for ancestor in path.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            return Some(
                rest.into_iter()
                    .rev()
                    .fold(real, |real, part| real.join(part)),
            );
        }
        // A link that leads nowhere could be made to lead anywhere.
        if ancestor.symlink_metadata().is_ok() {
            return None;
        }
        rest.push(ancestor.file_name()?);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_below_an_open_folder_may_be_named() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::write(open.join("disk"), "x").unwrap();
        std::os::unix::fs::symlink(folder.path(), open.join("out")).unwrap();
        std::os::unix::fs::symlink("/nowhere", open.join("dangling")).unwrap();
        let roots = [open.clone()];
        for (path, fine) in [
            (open.clone(), true),
            (open.join("disk"), true),
            (open.join("new/folder"), true),
            (open.join("out/x"), false),
            (open.join("dangling"), false),
            (open.join("new/../../x"), false),
            (folder.path().join("closed"), false),
            (PathBuf::from("/"), false),
        ] {
            assert_eq!(
                check(&path, Some(&roots)).is_ok(),
                fine,
                "{}",
                path.display()
            );
        }
        assert!(check(Path::new("relative"), None).is_err());
        assert!(check(Path::new("/anything"), None).is_ok());
        assert!(check(&open, Some(&[])).is_err());
    }
}
