//! What can go wrong.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the store did not do what was asked. Nothing was changed, but for one case: an
/// [`Io`](Self::Io) of the log that could not be synced says that a change was made which
/// may not survive the loss of power.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The thing named does not exist.
    #[error("no {what} `{id}` exists")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        id: String,
    },
    /// The thing's state does not allow it.
    #[error("{what} `{id}` cannot be changed so: {why}")]
    Conflict {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        id: String,
        /// What its state is and what was wanted.
        why: String,
    },
    /// The thing to be created is there already.
    #[error("{what} `{id}` exists already; choose another name or remove it first")]
    Exists {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        id: String,
    },
    /// An argument is malformed.
    #[error("{what} is not valid: {why}")]
    Invalid {
        /// Which argument.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// No room is left on the device, or the database's size limit is reached.
    #[error("the database {} cannot grow: {why}; free some space and try again", path.display())]
    Full {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        why: String,
    },
    /// The database's file or folder cannot be written.
    #[error("the database {} cannot be written: {why}; give this user write permission to the file and its folder", path.display())]
    ReadOnly {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        why: String,
    },
    /// The database's content contradicts itself, or is no database of Cofferdam's.
    #[error("the database {} is damaged: {why}; restore it from a backup", path.display())]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// Another process holds the database for longer than the time to wait.
    #[error("the database {} is held by another process: {why}; wait for it to end or stop it", path.display())]
    Locked {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        why: String,
    },
    /// The database was written by a newer version.
    #[error("the database {} has schema {found}, and this version knows up to {known}; use the version that wrote it, or restore a backup made before the upgrade", path.display())]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// The file's schema.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// A file could not be read or written.
    #[error("{} cannot be used: {why}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The key file that secrets are encrypted with cannot be used.
    #[error("the key file {} cannot be used: {why}", path.display())]
    SecretKey {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        why: String,
    },
    /// A secret cannot be decrypted.
    #[error("the secret `{name}` of project `{project}` cannot be decrypted: {why}")]
    SecretUnreadable {
        /// The secret's project.
        project: String,
        /// The secret's name.
        name: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// None of the above.
    #[error("the database {} cannot do this: {why}", path.display())]
    Other {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        why: String,
    },
}

impl StoreError {
    /// A thing that does not exist.
    pub(crate) fn not_found(what: &'static str, id: impl Into<String>) -> Self {
        Self::NotFound {
            what,
            id: id.into(),
        }
    }

    /// A thing whose state does not allow what was asked.
    pub(crate) fn conflict(
        what: &'static str,
        id: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self::Conflict {
            what,
            id: id.into(),
            why: why.into(),
        }
    }

    /// An argument that is malformed.
    pub(crate) fn invalid(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid {
            what: what.into(),
            why: why.into(),
        }
    }

    /// A file that could not be used.
    pub(crate) fn io(path: &Path, error: &std::io::Error) -> Self {
        let path = path.to_owned();
        let why = error.to_string();
        match error.kind() {
            std::io::ErrorKind::StorageFull
            | std::io::ErrorKind::QuotaExceeded
            | std::io::ErrorKind::FileTooLarge => Self::Full { path, why },
            std::io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path, why },
            _ => Self::Io { path, why },
        }
    }
}

/// What can go wrong within a transaction, before the database's path is known.
#[derive(Debug)]
pub(crate) enum Failure {
    /// SQLite's own error.
    Sql(rusqlite::Error),
    /// Text in the database that is not what it should be.
    Malformed(String),
    /// A refusal.
    Refused(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl Failure {
    /// The same as an error of the database at `path`.
    pub(crate) fn at(self, path: &Path) -> StoreError {
        let path = path.to_owned();
        let error = match self {
            Self::Refused(error) => return error,
            Self::Malformed(why) => return StoreError::Corrupt { path, why },
            Self::Sql(error) => error,
        };
        let why = error.to_string();
        let rusqlite::Error::SqliteFailure(ref failure, _) = error else {
            // Every statement is the crate's own, so that a value of another type or
            // range than was written means that the content has changed.
            return StoreError::Corrupt { path, why };
        };
        match failure.code {
            ErrorCode::DiskFull => StoreError::Full { path, why },
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => StoreError::ReadOnly { path, why },
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch => {
                StoreError::Corrupt { path, why }
            }
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed => StoreError::Locked { path, why },
            ErrorCode::CannotOpen | ErrorCode::SystemIoFailure => StoreError::Io { path, why },
            _ => StoreError::Other { path, why },
        }
    }
}

/// The result of what runs within a transaction.
pub(crate) type Within<T> = Result<T, Failure>;

/// Whether `error` says that a row with the same key exists.
pub(crate) fn is_duplicate(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::SqliteFailure(failure, _)
            if failure.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                || failure.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
    )
}
