//! The host's own key, and what it vouches for.
//!
//! **Design.** 32 random bytes in a file of mode 0600 beside the cache's folder, made at
//! first use. A tag is HMAC-SHA256 (RFC 2104) over the component's digest, the engine's
//! fingerprint and the compiled code, so that it holds for this file under this name only.

use super::hmac;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use subtle::ConstantTimeEq;

/// Length of a key, bytes.
const LENGTH: usize = 32;

/// Length of a tag, bytes.
pub(super) const TAG: usize = 32;

/// Permission bits of anybody but the owner.
const OTHERS: u32 = 0o077;

/// What the key is for; another use of it would say something else.
const PURPOSE: &[u8] = b"cofferdam compiled component 1\0";

/// The key of one user's cache.
#[derive(Clone)]
pub(super) struct Key([u8; LENGTH]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// The key in `file`, which is made where there is none; or why it must not be used.
    pub(super) fn open(file: &Path) -> Result<Self, String> {
        if let Some(key) = read(file)? {
            return Ok(key);
        }
        make(file)
            .map_err(|error| format!("its key {} cannot be made: {error}", file.display()))?;
        read(file)?.ok_or_else(|| format!("its key {} is gone again", file.display()))
    }

    /// The tag of compiled code.
    pub(super) fn tag(&self, digest: &str, fingerprint: u64, compiled: &[u8]) -> [u8; TAG] {
        hmac::sha256(
            &self.0,
            &[
                PURPOSE,
                // With its length before it, no part can pass for another.
                &(digest.len() as u64).to_le_bytes(),
                digest.as_bytes(),
                &fingerprint.to_le_bytes(),
                compiled,
            ],
        )
    }

    /// Whether this host tagged this code under this name. Takes the same time wherever a
    /// tag differs.
    pub(super) fn vouches(
        &self,
        digest: &str,
        fingerprint: u64,
        compiled: &[u8],
        tag: &[u8],
    ) -> bool {
        self.tag(digest, fingerprint, compiled).ct_eq(tag).into()
    }
}

/// The key, none where there is no file.
fn read(path: &Path) -> Result<Option<Key>, String> {
    let named = |reason: String| format!("its key {} {reason}", path.display());
    // A pipe in its place must not make the host wait, nor a link lead it away.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(named(format!("cannot be opened: {error}"))),
    };
    let found = file.metadata().map_err(|error| named(error.to_string()))?;
    let user = rustix::process::geteuid().as_raw();
    if !found.is_file() {
        return Err(named("is not a regular file".to_owned()));
    }
    if found.uid() != user {
        return Err(named(format!(
            "belongs to user {}, not to {user}",
            found.uid()
        )));
    }
    if found.mode() & OTHERS != 0 {
        return Err(named(format!(
            "can be used by others (mode {:o}); remove it, and the cache with it",
            found.mode() & 0o7777
        )));
    }
    let mut bytes = Vec::new();
    file.take(LENGTH as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| named(error.to_string()))?;
    <[u8; LENGTH]>::try_from(bytes)
        .map(|key| Some(Key(key)))
        .map_err(|_| named(format!("is not {LENGTH} bytes long; remove it")))
}

/// Makes a key, unless another host was faster.
fn make(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut key = [0; LENGTH];
    getrandom::fill(&mut key).map_err(std::io::Error::other)?;
    let mut file = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_key_is_made_once_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let first = Key::open(&path).unwrap();
        let second = Key::open(&path).unwrap();
        assert_eq!(first.0, second.0);
        assert_ne!(first.0, [0; LENGTH]);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let other = Key::open(&folder.path().join("other")).unwrap();
        assert_ne!(first.0, other.0);
    }

    #[test]
    fn hosts_that_begin_together_have_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let keys: Vec<[u8; LENGTH]> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| Key::open(&path).unwrap().0))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_key_that_is_not_the_owners_alone_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        Key::open(&path).unwrap();
        for mode in [0o640, 0o604, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let reason = Key::open(&path).unwrap_err();
            assert!(reason.contains("can be used by others"), "{reason}");
        }
        let link = folder.path().join("link");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Key::open(&link).is_err(), "a link can be redirected");
        fs::write(&path, b"short").unwrap();
        let reason = Key::open(&path).unwrap_err();
        assert!(reason.contains("32 bytes"), "{reason}");
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let reason = Key::open(&pipe).unwrap_err();
        assert!(reason.contains("not a regular file"), "{reason}");
    }

    #[test]
    fn a_tag_holds_for_one_code_under_one_name_of_one_host() {
        let (key, other) = (Key([1; LENGTH]), Key([2; LENGTH]));
        let tag = key.tag("d", 7, b"code");
        assert!(key.vouches("d", 7, b"code", &tag));
        assert!(!key.vouches("e", 7, b"code", &tag));
        assert!(!key.vouches("d", 8, b"code", &tag));
        assert!(!key.vouches("d", 7, b"codf", &tag));
        assert!(!other.vouches("d", 7, b"code", &tag));
        assert!(!key.vouches("d", 7, b"code", &tag[..31]));
        assert!(!key.vouches("d", 7, b"code", &[]));
    }
}
