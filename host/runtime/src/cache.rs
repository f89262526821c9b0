//! Compiled code by digest, in the user's own folder.
//!
//! **Problem.** Compiling takes seconds for the larger languages, and compiled code is
//! machine code: whoever can write the cache can run anything.
//!
//! **Design.** A file is named after the component's digest and the engine's fingerprint,
//! so that neither a new plugin nor a new host finds another's. It ends in the sha256 of
//! what comes before: a file that was cut short or damaged is compiled again and replaced.
//! Files are written beside their place and renamed. The folder is made with mode 0700; one that
//! belongs to somebody else, or that others may write, is not used, with a warning, and
//! then everything is compiled at each start.
//!
//! **Limits.** The checksum guards against accidents. Against whoever can write as this
//! user there is no guard here, nor is there one against them elsewhere. Nothing is
//! removed: a file of an old host stays.

use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use wasmtime::Engine;

const CHECKSUM: usize = 32;

/// Permission bits that let others write.
const OTHERS_WRITE: u32 = 0o022;

/// What a compiled component depends on beside its source: the engine's configuration,
/// its version and the processor.
pub fn fingerprint(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

/// Where the cache is by default: `$XDG_CACHE_HOME/cofferdam/components`, else
/// `~/.cache/cofferdam/components` (XDG Base Directory Specification, which says that a
/// relative path is to be ignored); none where neither variable is set.
pub fn default_folder() -> Option<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|base| base.join("cofferdam").join("components"))
}

/// A folder of compiled components, or nothing.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    /// A cache that keeps nothing.
    pub fn disabled() -> Self {
        Self::default()
    }

    /// The cache in `folder`, which is made when it is not there. Where it must not be
    /// used, a warning says why and nothing is kept.
    pub fn open(folder: &Path) -> Self {
        match prepare(folder) {
            Ok(()) => Self {
                folder: Some(folder.to_owned()),
            },
            Err(reason) => {
                tracing::warn!(
                    folder = %folder.display(),
                    %reason,
                    "the cache of compiled plugins is not used; plugins are compiled at every start"
                );
                Self::disabled()
            }
        }
    }

    /// Whether anything is kept.
    pub fn is_enabled(&self) -> bool {
        self.folder.is_some()
    }

    fn path(&self, digest: &str, fingerprint: u64) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        Some(folder.join(format!("{digest}-{fingerprint:016x}.cwasm")))
    }

    /// What was kept, if it is whole.
    pub(crate) fn get(&self, digest: &str, fingerprint: u64) -> Option<Vec<u8>> {
        let mut bytes = fs::read(self.path(digest, fingerprint)?).ok()?;
        let length = bytes.len().checked_sub(CHECKSUM)?;
        let (content, checksum) = bytes.split_at_checked(length)?;
        if Sha256::digest(content).as_slice() != checksum {
            return None;
        }
        bytes.truncate(length);
        Some(bytes)
    }

    /// Keeps compiled code. A failure costs a compilation later, so it is only logged.
    pub(crate) fn put(&self, digest: &str, fingerprint: u64, compiled: &[u8]) {
        let Some(path) = self.path(digest, fingerprint) else {
            return;
        };
        if let Err(error) = write_and_rename(&path, compiled) {
            tracing::warn!(path = %path.display(), %error, "compiled code could not be kept");
        }
    }
}

fn write_and_rename(path: &Path, compiled: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(compiled)?;
    file.write_all(&Sha256::digest(compiled))?;
    file.persist(path)?;
    Ok(())
}

/// Makes the folder, or says why the one that is there must not be used.
fn prepare(folder: &Path) -> Result<(), String> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| format!("it cannot be made: {error}"))?;
    let found = fs::symlink_metadata(folder).map_err(|error| error.to_string())?;
    let user = rustix::process::geteuid().as_raw();
    if !found.is_dir() {
        return Err("it is not a folder".to_owned());
    }
    if found.uid() != user {
        return Err(format!("it belongs to user {}, not to {user}", found.uid()));
    }
    if found.mode() & OTHERS_WRITE != 0 {
        return Err(format!(
            "others may write it (mode {:o}); `chmod 700` it after looking at what is inside",
            found.mode() & 0o7777
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_was_kept_is_found_again_under_its_own_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a/b");
        let cache = Cache::open(&place);
        let mode = fs::metadata(&place).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
        cache.put("d1", 7, b"code");
        assert_eq!(cache.get("d1", 7).unwrap(), b"code");
        assert_eq!(cache.get("d1", 8), None);
        assert_eq!(cache.get("d2", 7), None);
    }

    #[test]
    fn damage_of_any_kind_is_not_found() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let cache = Cache::open(folder.path());
        cache.put("d", 1, b"some compiled code");
        let path = cache.path("d", 1).unwrap();
        let good = fs::read(&path).unwrap();
        for length in 0..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            assert_eq!(cache.get("d", 1), None, "cut to {length}");
        }
        let mut flipped = good.clone();
        flipped[3] ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert_eq!(cache.get("d", 1), None);
        fs::write(&path, &good).unwrap();
        assert!(cache.get("d", 1).is_some());
    }

    #[test]
    fn a_folder_that_others_write_or_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o770, 0o702, 0o777] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert!(!Cache::open(folder.path()).is_enabled(), "mode {mode:o}");
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        assert!(!Cache::open(&link).is_enabled(), "a link can be redirected");
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        assert!(!Cache::open(&file).is_enabled());
        assert!(Cache::open(folder.path()).is_enabled());
    }

    #[test]
    fn a_folder_of_somebody_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        if std::os::unix::fs::chown(folder.path(), Some(65_534), None).is_err() {
            println!("skipped: only root can give a folder away");
            return;
        }
        assert!(prepare(folder.path()).unwrap_err().contains("65534"));
    }
}
