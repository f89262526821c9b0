//! Compiled code by digest, in the user's own folder.
//!
//! **Problem.** Compiling takes seconds for the larger languages, and compiled code is
//! machine code: whoever can write the cache can run anything.
//!
//! **Design.** A file is named after the component's digest and the engine's fingerprint,
//! so that neither a new plugin nor a new host finds another's. It ends in a tag that only
//! the host's own key makes ([`key`]), over code and name: what was planted, cut short,
//! damaged or moved from another name is not loaded; it is compiled again and replaced.
//! Files are written beside their place and renamed. The folder is made with mode 0700, the
//! key beside it (`FOLDER.key`) with 0600; where either belongs to somebody else, or others
//! could write the folder or read the key, nothing is used, with a warning, and then
//! everything is compiled at each start.
//!
//! **Limits.** Whoever can read the key, as this user or root, can make files that are
//! loaded. Nothing is removed: a file of an old host stays.

mod hmac;
mod key;

use key::{Key, TAG};
use rustix::fs::{Mode, OFlags};
use std::fs::{self, DirBuilder, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use wasmtime::Engine;

/// The largest file that is read, bytes: compiled code has at most some times the size of
/// its component.
const MOST: u64 = 1 << 30;

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

/// A folder of compiled components with the host's key, or nothing.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    place: Option<Place>,
}

#[derive(Debug, Clone)]
struct Place {
    folder: PathBuf,
    key: Key,
}

impl Cache {
    /// A cache that keeps nothing.
    pub fn disabled() -> Self {
        Self::default()
    }

    /// The cache in `folder`, and its key beside it; both are made when they are not there.
    /// Where they must not be used, a warning says why and nothing is kept.
    pub fn open(folder: &Path) -> Self {
        let key = folder.with_added_extension("key");
        match prepare(folder).and_then(|()| Key::open(&key)) {
            Ok(key) => Self {
                place: Some(Place {
                    folder: folder.to_owned(),
                    key,
                }),
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
        self.place.is_some()
    }

    /// What was kept, if this host kept it here.
    pub(crate) fn get(&self, digest: &str, fingerprint: u64) -> Option<Vec<u8>> {
        let place = self.place.as_ref()?;
        let path = place.path(digest, fingerprint);
        let mut bytes = read(&path)?;
        let vouched = bytes
            .len()
            .checked_sub(TAG)
            .and_then(|length| bytes.split_at_checked(length))
            .filter(|(code, tag)| place.key.vouches(digest, fingerprint, code, tag))
            .map(|(code, _)| code.len());
        let Some(length) = vouched else {
            tracing::warn!(
                path = %path.display(),
                "a file in the cache of compiled plugins is not as this host left it; it is not loaded, and made again"
            );
            return None;
        };
        bytes.truncate(length);
        Some(bytes)
    }

    /// Keeps compiled code. A failure costs a compilation later, so it is only logged.
    pub(crate) fn put(&self, digest: &str, fingerprint: u64, compiled: &[u8]) {
        let Some(place) = &self.place else {
            return;
        };
        let path = place.path(digest, fingerprint);
        let tag = place.key.tag(digest, fingerprint, compiled);
        let written = write_and_rename(&path, &[compiled, &tag]);
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "compiled code could not be kept");
        }
    }
}

impl Place {
    fn path(&self, digest: &str, fingerprint: u64) -> PathBuf {
        self.folder
            .join(format!("{digest}-{fingerprint:016x}.cwasm"))
    }
}

/// A regular file; none of what would make the host wait, or lead it elsewhere.
fn read(path: &Path) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let found = file.metadata().ok()?;
    if !found.is_file() || found.len() > MOST {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn write_and_rename(path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    for part in parts {
        file.write_all(part)?;
    }
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

    /// A cache in a folder of its own.
    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("components"));
        assert!(cache.is_enabled());
        (folder, cache)
    }

    fn path(cache: &Cache, digest: &str, fingerprint: u64) -> PathBuf {
        cache.place.as_ref().unwrap().path(digest, fingerprint)
    }

    #[test]
    fn what_is_not_of_this_host_under_this_name_is_not_found() {
        let (_folder, cache) = cache();
        let (_other, stranger) = self::cache();
        cache.put("d", 1, b"code");
        stranger.put("d", 1, b"evil");
        // Planted: made by another host, with its key.
        fs::copy(path(&stranger, "d", 1), path(&cache, "d", 1)).unwrap();
        assert_eq!(cache.get("d", 1), None);
        // Swapped: made by this host, for another component or engine.
        cache.put("e", 1, b"other");
        for name in [("d", 1), ("e", 2)] {
            fs::copy(path(&cache, "e", 1), path(&cache, name.0, name.1)).unwrap();
            assert_eq!(cache.get(name.0, name.1), None, "{name:?}");
        }
        // Replaced by what is made again.
        cache.put("d", 1, b"code");
        assert_eq!(cache.get("d", 1).unwrap(), b"code");
    }

    #[test]
    fn what_is_no_file_is_not_waited_for_and_is_replaced() {
        let (folder, cache) = cache();
        let path = path(&cache, "d", 1);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(cache.get("d", 1), None);
        cache.put("d", 1, b"code");
        assert_eq!(cache.get("d", 1).unwrap(), b"code");
        let elsewhere = folder.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert_eq!(cache.get("d", 1), None, "a link can be redirected");
        cache.put("d", 1, b"new");
        assert_eq!(cache.get("d", 1).unwrap(), b"new");
        assert!(fs::read(&elsewhere).unwrap().starts_with(b"code"));
    }

    #[test]
    fn a_new_key_makes_everything_again() {
        let (folder, cache) = cache();
        cache.put("d", 1, b"code");
        fs::remove_file(folder.path().join("components.key")).unwrap();
        let again = Cache::open(&folder.path().join("components"));
        assert_eq!(again.get("d", 1), None);
    }

    #[test]
    fn damage_of_any_kind_is_not_found() {
        let (_folder, cache) = cache();
        cache.put("d", 1, b"some compiled code");
        let path = path(&cache, "d", 1);
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
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("components");
        fs::create_dir(&folder).unwrap();
        for mode in [0o770, 0o702, 0o777] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            assert!(!Cache::open(&folder).is_enabled(), "mode {mode:o}");
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert!(!Cache::open(&link).is_enabled(), "a link can be redirected");
        let file = home.path().join("file");
        fs::write(&file, b"").unwrap();
        assert!(!Cache::open(&file).is_enabled());
        assert!(Cache::open(&folder).is_enabled());
        fs::write(home.path().join("components.key"), b"short").unwrap();
        assert!(!Cache::open(&folder).is_enabled(), "without its key");
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
