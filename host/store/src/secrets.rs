//! Secrets, encrypted before they reach the database.
//!
//! XChaCha20-Poly1305 (<https://datatracker.ietf.org/doc/html/draft-irtf-cfrg-xchacha>)
//! with a random nonce of 24 bytes for each value, and project and name as associated
//! data: a ciphertext that is moved to another name does not decrypt. The key is 32 bytes
//! in a file that only its owner may read.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rusqlite::{Connection, Row, params};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::Within;
use crate::files::{beside, sync_folder_of};
use crate::sql::{Json, all, change, first};
use crate::{Durability, NewAudit, SecretInfo, Store, StoreError, audit};

/// The most bytes that a secret has.
pub const SECRET_LIMIT: usize = 1 << 20;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// The key that secrets are encrypted with. Erased from memory when dropped.
pub struct SecretKey {
    key: Zeroizing<[u8; KEY_BYTES]>,
    id: String,
    file: PathBuf,
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl SecretKey {
    /// Reads the key file at `path`: 32 bytes, mode 0600 or less.
    ///
    /// # Errors
    /// [`StoreError::SecretKey`] where it does not exist, others may read it, or it is not
    /// a key.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let refuse = |why: String| StoreError::SecretKey {
            path: path.to_owned(),
            why,
        };
        let mut file = File::open(path).map_err(|error| refuse(error.to_string()))?;
        let metadata = file.metadata().map_err(|error| refuse(error.to_string()))?;
        if !metadata.is_file() {
            return Err(refuse("it is not a file".to_owned()));
        }
        let mode = metadata.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(refuse(format!(
                "its mode is {mode:04o}, so that others may read or change it; run `chmod 600` \
                 on it, and set the secrets anew if someone may have read it"
            )));
        }
        let length = metadata.len();
        if length != KEY_BYTES as u64 {
            return Err(refuse(format!(
                "it has {length} bytes, and a key has {KEY_BYTES}; make one with \
                 `head -c {KEY_BYTES} /dev/urandom`"
            )));
        }
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        file.read_exact(key.as_mut_slice())
            .map_err(|error| refuse(error.to_string()))?;
        Ok(Self::new(key, path))
    }

    fn new(key: Zeroizing<[u8; KEY_BYTES]>, file: &Path) -> Self {
        let mut hash = Sha256::new();
        hash.update("cofferdam secret key\0");
        hash.update(key.as_slice());
        let mut id = hex::encode(hash.finalize());
        id.truncate(16);
        Self {
            key,
            id,
            file: file.to_owned(),
        }
    }

    /// Makes the key file at `path`, unless another process was faster.
    fn create(path: &Path) -> Result<(), StoreError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        random(key.as_mut_slice(), path)?;
        let draft = beside(path, &format!(".{}", std::process::id()));
        let written = (|| {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&draft)?;
            file.write_all(key.as_slice())?;
            file.sync_all()?;
            // Unlike a rename this replaces no key that is there.
            match std::fs::hard_link(&draft, path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            }
        })();
        // The link is what counts; a draft that stays is readable by its owner only.
        let _ = std::fs::remove_file(&draft);
        written.map_err(|error| StoreError::SecretKey {
            path: path.to_owned(),
            why: format!("it cannot be made: {error}"),
        })?;
        sync_folder_of(path)
    }

    /// The refusal because `kept` secrets are encrypted with key `other`.
    fn is_not_theirs(&self, kept: i64, other: &str) -> StoreError {
        StoreError::SecretKey {
            path: self.file.clone(),
            why: format!(
                "it has key {}, and {kept} of the secrets kept are encrypted with key {other}; \
                 bring the right key file back, or remove those secrets and set them anew",
                self.id
            ),
        }
    }

    fn cipher(&self) -> Result<XChaCha20Poly1305, StoreError> {
        XChaCha20Poly1305::new_from_slice(self.key.as_slice())
            .map_err(|error| StoreError::invalid("secret key", error.to_string()))
    }
}

fn random(bytes: &mut [u8], path: &Path) -> Result<(), StoreError> {
    getrandom::fill(bytes).map_err(|error| StoreError::Other {
        path: path.to_owned(),
        why: format!("the system gives no random numbers: {error}"),
    })
}

/// What a ciphertext is bound to. Neither part contains a zero byte.
fn associated(project: &str, name: &str) -> Vec<u8> {
    [project.as_bytes(), b"\0", name.as_bytes()].concat()
}

fn check_name(what: &str, name: &str) -> Result<(), StoreError> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > 256 {
        "it is longer than 256 bytes"
    } else if name.chars().any(char::is_control) {
        "it contains a control character"
    } else {
        return Ok(());
    };
    Err(StoreError::invalid(what, why))
}

impl Store {
    /// Reads the key file at `path`, which is made if there is none and no secret that
    /// needs another one.
    ///
    /// # Errors
    /// [`StoreError::SecretKey`], and those of every read.
    pub fn open_secret_key(&self, path: &Path) -> Result<SecretKey, StoreError> {
        if !path.exists() {
            let kept: i64 = self.read(|connection| {
                Ok(
                    first(connection, "SELECT count(*) FROM secrets", [], |row| {
                        row.get(0)
                    })?
                    .unwrap_or(0),
                )
            })?;
            if kept > 0 {
                return Err(StoreError::SecretKey {
                    path: path.to_owned(),
                    why: format!(
                        "it does not exist, and {kept} secrets are encrypted with it; bring it \
                         back, or remove the secrets and set them anew"
                    ),
                });
            }
            SecretKey::create(path)?;
        }
        SecretKey::open(path)
    }

    /// Sets a secret; one of the same name is replaced. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a name that is empty, longer than 256 bytes or has
    /// control characters, or a value beyond [`SECRET_LIMIT`]; [`StoreError::SecretKey`]
    /// where other secrets are encrypted with another key; and those of every write.
    pub fn set_secret(
        &self,
        key: &SecretKey,
        project: &str,
        name: &str,
        value: &[u8],
        audit: &NewAudit,
    ) -> Result<(), StoreError> {
        check_name("project", project)?;
        check_name("name of a secret", name)?;
        if value.len() > SECRET_LIMIT {
            let why = format!("it has {} bytes; {SECRET_LIMIT} are allowed", value.len());
            return Err(StoreError::invalid("secret", why));
        }
        let mut nonce = [0; NONCE_BYTES];
        random(&mut nonce, self.path())?;
        let payload = Payload {
            msg: value,
            aad: &associated(project, name),
        };
        let ciphertext = key
            .cipher()?
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|error| StoreError::invalid("secret", error.to_string()))?;
        self.write(Durability::Power, |tx| {
            only_key(tx, key, (project, name))?;
            change(
                tx,
                "INSERT INTO secrets (project, name, key_id, nonce, ciphertext, created, updated)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
                 ON CONFLICT (project, name)
                 DO UPDATE SET key_id = ?3, nonce = ?4, ciphertext = ?5, updated = ?6",
                params![project, name, key.id, nonce, ciphertext, tx.now],
            )?;
            audit::append(tx, audit)?;
            Ok(())
        })
    }

    /// A secret's value. Erased from memory when dropped.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::SecretUnreadable`] where the key is another
    /// one or the ciphertext was changed or moved; and those of every read.
    pub fn secret(
        &self,
        key: &SecretKey,
        project: &str,
        name: &str,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let found = self.read(|connection| {
            first(
                connection,
                "SELECT key_id, nonce, ciphertext FROM secrets WHERE project = ?1 AND name = ?2",
                [project, name],
                |row| {
                    Ok((
                        row.get::<_, String>(0)?,
                        row.get::<_, [u8; NONCE_BYTES]>(1)?,
                        row.get::<_, Vec<u8>>(2)?,
                    ))
                },
            )
        })?;
        let (key_id, nonce, ciphertext) =
            found.ok_or_else(|| StoreError::not_found("secret", format!("{project}/{name}")))?;
        let unreadable = |why: String| StoreError::SecretUnreadable {
            project: project.to_owned(),
            name: name.to_owned(),
            why,
        };
        if key_id != key.id {
            return Err(unreadable(format!(
                "it was encrypted with key {key_id}, and the key file has key {}; give the right \
                 key file or set the secret anew",
                key.id
            )));
        }
        let payload = Payload {
            msg: &ciphertext,
            aad: &associated(project, name),
        };
        key.cipher()?
            .decrypt(&XNonce::from(nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| {
                unreadable(
                    "its ciphertext was changed or moved from another name; set it anew".to_owned(),
                )
            })
    }

    /// Refuses a key that secrets are not encrypted with.
    ///
    /// # Errors
    /// [`StoreError::SecretKey`] where there are such secrets, and those of every read.
    pub fn check_secret_key(&self, key: &SecretKey) -> Result<(), StoreError> {
        self.read(|connection| only_key(connection, key, ("", "")))
    }

    /// The secrets of `projects` (none for all) without their values, by project and name.
    ///
    /// # Errors
    /// Those of every read.
    pub fn secrets(&self, projects: Option<&[String]>) -> Result<Vec<SecretInfo>, StoreError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT project, name, created, updated FROM secrets
                 WHERE ?1 IS NULL OR project IN (SELECT value FROM json_each(?1))
                 ORDER BY project, name",
                [projects.map(Json)],
                info,
            )
        })
    }

    /// Removes a secret. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and those of every write.
    pub fn remove_secret(
        &self,
        project: &str,
        name: &str,
        audit: &NewAudit,
    ) -> Result<(), StoreError> {
        self.write(Durability::Power, |tx| {
            let removed = change(
                tx,
                "DELETE FROM secrets WHERE project = ?1 AND name = ?2",
                [project, name],
            )?;
            if removed == 0 {
                return Err(StoreError::not_found("secret", format!("{project}/{name}")).into());
            }
            audit::append(tx, audit)?;
            Ok(())
        })
    }
}

/// Refuses `key` where a secret other than `but`, which is about to be replaced, is encrypted
/// with another one: under two keys nobody could say which file belongs to which secret.
fn only_key(connection: &Connection, key: &SecretKey, but: (&str, &str)) -> Within<()> {
    let others = first(
        connection,
        "SELECT count(*), min(key_id) FROM secrets
         WHERE key_id != ?1 AND NOT (project = ?2 AND name = ?3)",
        [&key.id, but.0, but.1],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?)),
    )?;
    match others {
        Some((kept @ 1.., Some(other))) => Err(key.is_not_theirs(kept, &other).into()),
        _ => Ok(()),
    }
}

fn info(row: &Row<'_>) -> rusqlite::Result<SecretInfo> {
    Ok(SecretInfo {
        project: row.get("project")?,
        name: row.get("name")?,
        created: row.get("created")?,
        updated: row.get("updated")?,
    })
}
