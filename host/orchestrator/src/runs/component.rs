//! The component store: the exact files that runs began with, by their digest.
//!
//! A plugin may be replaced or removed while a run that began with it waits for an
//! approval. So each component is copied here when a run starts, under its SHA-256, and
//! its content is checked against its name before the first use in a process.

use super::error::RunError;
use crate::catalogue::{CatalogueError, NATIVE, ResolvedPlugin};
use cofferdam_contract::types::ErrorCode;
use cofferdam_store::{NewPin, PinnedPlugin};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The largest component that is kept, bytes.
const LARGEST: u64 = 256 << 20;

/// The component store.
#[derive(Debug)]
pub struct ComponentStore {
    folder: PathBuf,
    checked: Mutex<HashSet<String>>,
}

impl ComponentStore {
    /// The store in `folder`, which is made at first use.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            checked: Mutex::default(),
        }
    }

    fn is_checked(&self, digest: &str) -> bool {
        self.checked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(digest)
    }

    fn set_checked(&self, digest: &str) {
        self.checked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest.to_owned());
    }

    /// Whether [`located`](Self::located) answers without reading the file.
    pub fn is_ready(&self, pinned: &PinnedPlugin) -> bool {
        pinned.digest.starts_with(NATIVE) || self.is_checked(&pinned.digest)
    }

    /// Keeps a plugin's component and returns the pin of it. Blocks.
    ///
    /// # Errors
    /// [`RunError::Component`] where the file cannot be read or kept, or is no longer the
    /// one that was resolved.
    pub fn keep(&self, plugin: &ResolvedPlugin) -> Result<NewPin, RunError> {
        let pin = |path: String| NewPin {
            id: plugin.id.clone(),
            version: plugin.version.clone(),
            digest: plugin.digest.clone(),
            path,
        };
        let refuse = |reason: String, code| RunError::Component {
            plugin: plugin.id.clone(),
            reason,
            code,
        };
        let Some(source) = &plugin.path else {
            return Ok(pin(String::new()));
        };
        let name = file_name(&plugin.digest).ok_or_else(|| {
            refuse(
                format!("`{}` is not a SHA-256", plugin.digest),
                ErrorCode::Other,
            )
        })?;
        let kept = self.folder.join(&name);
        if self.is_checked(&plugin.digest) && kept.is_file() {
            return Ok(pin(name));
        }
        let failed = |path: &Path, error: &io::Error| {
            let (reason, code) = unwritten(path, error);
            refuse(reason, code)
        };
        let whole = digest_of(&kept).is_ok_and(|found| found == plugin.digest);
        if !whole {
            let bytes = read(source).map_err(|error| failed(source, &error))?;
            if hex::encode(Sha256::digest(&bytes)) != plugin.digest {
                return Err(refuse(
                    format!(
                        "{} changed while the run was started; start it again",
                        source.display()
                    ),
                    ErrorCode::Conflict,
                ));
            }
            write(&self.folder, &kept, &bytes).map_err(|error| failed(&kept, &error))?;
        }
        self.set_checked(&plugin.digest);
        Ok(pin(name))
    }

    /// Keeps a component by its digest. Blocks.
    ///
    /// # Errors
    /// Why it cannot be kept, and the contract's code.
    pub fn keep_bytes(&self, digest: &str, bytes: &[u8]) -> Result<(), (String, ErrorCode)> {
        let name = file_name(digest)
            .filter(|_| hex::encode(Sha256::digest(bytes)) == digest)
            .ok_or_else(|| {
                (
                    format!("`{digest}` is not the SHA-256 of what is to be kept"),
                    ErrorCode::Other,
                )
            })?;
        let kept = self.folder.join(name);
        let whole = digest_of(&kept).is_ok_and(|found| found == digest);
        if !whole {
            write(&self.folder, &kept, bytes).map_err(|error| unwritten(&kept, &error))?;
        }
        self.set_checked(digest);
        Ok(())
    }

    /// The file of a kept component, whose content was checked in this process. Blocks at
    /// the first use of a digest.
    ///
    /// # Errors
    /// Why it cannot be used: it is gone, or is another.
    pub fn file(&self, digest: &str) -> Result<PathBuf, String> {
        let name = file_name(digest).ok_or_else(|| format!("`{digest}` is not a SHA-256"))?;
        let path = self.folder.join(name);
        if !self.is_checked(digest) {
            let found = digest_of(&path).map_err(|error| {
                format!("its component {} cannot be read: {error}", path.display())
            })?;
            if found != digest {
                return Err(format!(
                    "the content of {} has the digest {found}: it was changed",
                    path.display()
                ));
            }
            self.set_checked(digest);
        }
        Ok(path)
    }

    /// The content of a kept component, read and checked now. Blocks.
    ///
    /// # Errors
    /// What is wrong with the file, and what to do.
    pub fn verified(&self, digest: &str) -> Result<Vec<u8>, String> {
        let name = file_name(digest).ok_or_else(|| format!("`{digest}` is not a SHA-256"))?;
        let path = self.folder.join(name);
        let bytes = read(&path).map_err(|error| {
            format!(
                "its component {} cannot be read: {error}; install it again",
                path.display()
            )
        })?;
        let found = hex::encode(Sha256::digest(&bytes));
        if found != digest {
            return Err(format!(
                "the content of {} has the digest {found}: it was changed; install it again",
                path.display()
            ));
        }
        Ok(bytes)
    }

    /// Lets go of a component that nobody needs any more. Blocks.
    pub fn forget(&self, digest: &str) {
        self.checked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(digest);
        let Some(name) = file_name(digest) else {
            return;
        };
        let path = self.folder.join(name);
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = %path.display(), %error, "a component cannot be removed");
        }
    }

    /// The pin with the path of a file whose content was checked. Blocks at the first use
    /// of a digest.
    ///
    /// # Errors
    /// [`CatalogueError`] where the file is gone or is another.
    pub fn located(&self, pinned: &PinnedPlugin) -> Result<PinnedPlugin, CatalogueError> {
        if pinned.digest.starts_with(NATIVE) {
            return Ok(pinned.clone());
        }
        let path = self
            .file(&pinned.digest)
            .map_err(|reason| CatalogueError::Unusable {
                reference: format!("{}@{}", pinned.id, pinned.version),
                reason: format!("{reason}; restore the file from a backup, or cancel the run"),
                code: ErrorCode::Corrupt,
            })?;
        Ok(PinnedPlugin {
            path: path.to_string_lossy().into_owned(),
            ..pinned.clone()
        })
    }
}

/// Why a file could not be read or written, and the contract's code for it.
fn unwritten(path: &Path, error: &io::Error) -> (String, ErrorCode) {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorCode::NoSpace,
        io::ErrorKind::NotFound => ErrorCode::NotFound,
        _ => ErrorCode::Unavailable,
    };
    (format!("{}: {error}", path.display()), code)
}

/// `SHA256.wasm`, where the digest is one.
fn file_name(digest: &str) -> Option<String> {
    let is_digest = digest.len() == 64
        && digest
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_digest.then(|| format!("{digest}.wasm"))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST {
        return Err(io::Error::other(format!("larger than {LARGEST} bytes")));
    }
    Ok(bytes)
}

fn digest_of(path: &Path) -> io::Result<String> {
    Ok(hex::encode(Sha256::digest(read(path)?)))
}

fn write(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The name has to outlive a loss of power as the run's record does.
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(path: &Path, digest: &str) -> ResolvedPlugin {
        ResolvedPlugin {
            id: "command".to_owned(),
            version: "0.1.0".to_owned(),
            digest: digest.to_owned(),
            path: Some(path.to_owned()),
        }
    }

    #[test]
    fn components_are_kept_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("command.wasm");
        std::fs::write(&source, b"component").unwrap();
        let digest = hex::encode(Sha256::digest(b"component"));
        let state = folder.path().join("components");
        let store = ComponentStore::new(state.clone());
        let pin = store.keep(&resolved(&source, &digest)).unwrap();
        assert_eq!(pin.path, format!("{digest}.wasm"));
        std::fs::remove_file(&source).unwrap();

        let pinned = PinnedPlugin {
            run: "run-x".to_owned(),
            id: pin.id,
            version: pin.version,
            digest: pin.digest,
            path: pin.path,
        };
        let later = ComponentStore::new(state.clone());
        let located = later.located(&pinned).unwrap();
        assert_eq!(std::fs::read(located.path).unwrap(), b"component");

        std::fs::write(state.join(format!("{digest}.wasm")), b"planted").unwrap();
        let error = ComponentStore::new(state.clone())
            .located(&pinned)
            .unwrap_err();
        assert!(error.to_string().contains("was changed"), "{error}");
        std::fs::remove_file(state.join(format!("{digest}.wasm"))).unwrap();
        assert!(ComponentStore::new(state).located(&pinned).is_err());
    }

    #[test]
    fn a_file_that_is_another_by_now_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("command.wasm");
        std::fs::write(&source, b"another").unwrap();
        let digest = hex::encode(Sha256::digest(b"component"));
        let store = ComponentStore::new(folder.path().join("components"));
        let error = store.keep(&resolved(&source, &digest)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Conflict);
        let error = store.keep(&resolved(&source, "../x")).unwrap_err();
        assert!(error.to_string().contains("not a SHA-256"), "{error}");
    }
}
