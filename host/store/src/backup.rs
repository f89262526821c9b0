//! Backups, their return, and the search for damage.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use serde::{Deserialize, Serialize};

use crate::connection::create_private;
use crate::error::{Failure, Within};
use crate::files::{beside, remove_if_there, rename, sync_folder_of};
use crate::sql::{all, change, first};
use crate::{Store, StoreError, Time, migrate};

/// How far the numbers of events, logs and audit records jump when a backup is restored:
/// further than any that were given out since it was made, so that a client which goes on
/// from a number misses nothing.
const JUMP: i64 = 1 << 32;

/// A backup that was made or restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackupReport {
    /// The file that was written.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its schema.
    pub schema: i64,
    /// How many runs it has.
    pub runs: u64,
    /// Where the database is kept in whose place it was put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub replaced: Option<PathBuf>,
}

/// What the search for damage found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckReport {
    /// The file's schema.
    pub schema: i64,
    /// The file's size in bytes.
    pub bytes: u64,
    /// The write-ahead log's size in bytes.
    pub log_bytes: u64,
    /// What is wrong, one sentence each, at most 100; empty for a sound database.
    pub damage: Vec<String>,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }
}

impl Store {
    /// Writes a copy of the database, as it is at one moment, to a new file at `to` while
    /// it is used. The copy is checked, synced and complete when the file appears. Keep
    /// the key file of the secrets beside it: the copy has them encrypted.
    ///
    /// # Errors
    /// [`StoreError::Exists`] where `to` exists, [`StoreError::Full`],
    /// [`StoreError::Corrupt`] where the database is damaged, and those of every read.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<BackupReport, StoreError> {
        let to = to.as_ref();
        if to.exists() {
            return Err(StoreError::Exists {
                what: "file",
                id: to.display().to_string(),
            });
        }
        let draft = beside(to, ".part");
        let source = self.own_reader()?;
        let made = copy(&source, self.path(), &draft).and_then(|()| verify(&draft));
        finish(made, &draft, to)
    }

    /// Puts the backup at `from` in the place of the database at `to`, which no process
    /// may have open. What was there is kept beside it as `TO.replaced-TIME`, under a name
    /// that nothing had; the report says which. The backup's schema may be an older one;
    /// opening the store upgrades it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] or [`StoreError::NewerSchema`] for the backup,
    /// [`StoreError::Locked`] where the database is in use, [`StoreError::Full`],
    /// [`StoreError::Io`]; what was there is then still there.
    pub fn restore(
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
    ) -> Result<BackupReport, StoreError> {
        let (from, to) = (from.as_ref(), to.as_ref());
        if verify(from)?.schema == 0 {
            return Err(StoreError::Corrupt {
                path: from.to_owned(),
                why: "it is an empty database".to_owned(),
            });
        }
        let draft = beside(to, ".part");
        let source = open_as_is(from)?;
        let made = copy(&source, from, &draft)
            .and_then(|()| jump(&draft))
            .and_then(|()| verify(&draft))
            .and_then(|report| {
                let replaced = set_aside(to)?;
                Ok(BackupReport { replaced, ..report })
            });
        finish(made, &draft, to)
    }

    /// Looks through the whole database for damage. Takes time in proportion to its size.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where not even the search is possible, and those of every
    /// read.
    pub fn check(&self) -> Result<CheckReport, StoreError> {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        self.read(|connection| {
            Ok(CheckReport {
                schema: migrate::version(connection)?,
                bytes: size(self.path()),
                log_bytes: size(&beside(self.path(), "-wal")),
                damage: damage(connection)?,
            })
        })
    }
}

fn damage(connection: &Connection) -> Within<Vec<String>> {
    let found = all(connection, "PRAGMA integrity_check(100)", [], |row| {
        row.get::<_, String>(0)
    });
    let mut damage = match found {
        Ok(found) => found,
        // So much that not even the search comes to its end.
        Err(Failure::Sql(error)) if is_damage(&error) => vec![error.to_string()],
        Err(failure) => return Err(failure),
    };
    damage.retain(|line| line != "ok");
    // What is damaged already cannot be searched for what it refers to.
    if damage.is_empty() {
        damage = all(connection, "PRAGMA foreign_key_check", [], |row| {
            let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
            Ok(format!(
                "a row of {table} names one of {parent} that is not there"
            ))
        })?;
        damage.truncate(100);
    }
    Ok(damage)
}

/// Opens a database file that nobody changes.
fn open_as_is(path: &Path) -> Result<Connection, StoreError> {
    // SQLite tells only that it cannot, not why.
    File::open(path).map_err(|error| StoreError::io(path, &error))?;
    Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(|error| Failure::Sql(error).at(path))
}

/// Refuses a file that is not a sound database of a known schema.
fn verify(path: &Path) -> Result<BackupReport, StoreError> {
    let connection = open_as_is(path)?;
    let schema = migrate::check(&connection, path)?;
    let found = damage(&connection).map_err(|failure| failure.at(path))?;
    if let Some(first) = found.first() {
        return Err(StoreError::Corrupt {
            path: path.to_owned(),
            why: first.clone(),
        });
    }
    let runs = if schema == 0 {
        None
    } else {
        first(&connection, "SELECT count(*) FROM runs", [], |row| {
            row.get::<_, i64>(0)
        })
        .map_err(|failure| failure.at(path))?
    };
    let bytes = std::fs::metadata(path).map_err(|error| StoreError::io(path, &error))?;
    Ok(BackupReport {
        path: path.to_owned(),
        bytes: bytes.len(),
        schema,
        runs: runs.unwrap_or(0).unsigned_abs(),
        replaced: None,
    })
}

/// Copies a database into a new file, as one file without a log beside it.
fn copy(source: &Connection, source_path: &Path, to: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        remove_if_there(&beside(to, suffix))?;
    }
    create_private(to)?;
    let mut target = Connection::open(to).map_err(|error| Failure::Sql(error).at(to))?;
    let copied = (|| -> Within<StepResult> {
        let backup = Backup::new(source, &mut target)?;
        // In one step: the copy of one moment, which writes meanwhile do not set back.
        Ok(backup.step(-1)?)
    })();
    match copied.map_err(|failure| blame(failure, source_path, to))? {
        StepResult::Done => {}
        _ => {
            return Err(StoreError::Locked {
                path: source_path.to_owned(),
                why: "it could not be read to its end".to_owned(),
            });
        }
    }
    target
        .query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))
        .map_err(|error| Failure::Sql(error).at(to))
}

/// The error of a copy, of the file that it is about.
fn blame(failure: Failure, source: &Path, target: &Path) -> StoreError {
    let about_source = matches!(&failure, Failure::Sql(error) if is_damage(error));
    failure.at(if about_source { source } else { target })
}

/// Whether `error` says that a file is not what a database should be.
fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::SqliteFailure(failure, _)
            if matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// Raises the numbers that are given out next.
fn jump(path: &Path) -> Result<(), StoreError> {
    let jumped = (|| -> Within<()> {
        let mut connection = Connection::open(path)?;
        let transaction = connection.transaction()?;
        let tables = all(&transaction, "SELECT name FROM numbers", [], |row| {
            row.get::<_, String>(0)
        })?;
        for table in tables {
            let known = first(
                &transaction,
                "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1",
                [&table],
                |_| Ok(()),
            )?;
            let newest = match known {
                Some(()) => format!("(SELECT coalesce(max(id), 0) FROM {table})"),
                // It belongs to a schema that is newer than the backup's.
                None => "0".to_owned(),
            };
            change(
                &transaction,
                &format!("UPDATE numbers SET first = ?1 + max(first, {newest}) WHERE name = ?2"),
                params![JUMP, table],
            )?;
        }
        Ok(transaction.commit()?)
    })();
    jumped.map_err(|failure| failure.at(path))
}

/// Keeps what is at `path` under a name of its own, which it says, and takes its log out of
/// the way: SQLite would apply a log that stays to whatever comes in its file's place.
fn set_aside(path: &Path) -> Result<Option<PathBuf>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    match empty_log(path) {
        Err(StoreError::Locked { path, why }) => return Err(StoreError::Locked { path, why }),
        Err(error) => {
            tracing::warn!(%error, "the database that is replaced is damaged; it is kept with its log");
        }
        Ok(()) => {}
    }
    let kept = unused(path, Time::now());
    let log = beside(path, "-wal");
    if log.exists() {
        rename(&log, &beside(&kept, "-wal"))?;
    }
    remove_if_there(&beside(path, "-shm"))?;
    // The place is never empty: a host that starts now would begin with nothing.
    if std::fs::hard_link(path, &kept).is_err() {
        create_private(&kept)?;
        std::fs::copy(path, &kept).map_err(|error| StoreError::io(&kept, &error))?;
    }
    Ok(Some(kept))
}

/// A name for what is at `path` and was replaced at `time`, which neither another file nor
/// another file's log has: `PATH.replaced-20260131T120000Z`, with a number where that is
/// taken.
fn unused(path: &Path, time: Time) -> PathBuf {
    let mut moment = time.to_string();
    moment.retain(|character| !"-:".contains(character));
    let moment = moment.split('.').next().unwrap_or_default();
    let base = beside(path, &format!(".replaced-{moment}Z"));
    // Also a link that leads nowhere has the name.
    let taken = |name: &Path| {
        [name.to_owned(), beside(name, "-wal")]
            .iter()
            .any(|path| path.symlink_metadata().is_ok())
    };
    let mut name = base.clone();
    let mut number = 1_u64;
    while taken(&name) {
        number = number.saturating_add(1);
        name = beside(&base, &format!("-{number}"));
    }
    name
}

/// Moves the log into the file, which needs that nobody else has it open.
fn empty_log(path: &Path) -> Result<(), StoreError> {
    let emptied = (|| -> Within<()> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(Duration::from_secs(1))?;
        connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
        Ok(())
    })();
    emptied.map_err(|failure| failure.at(path))
}

/// Gives a finished draft its name, or removes what did not come to an end.
fn finish(
    made: Result<BackupReport, StoreError>,
    draft: &Path,
    to: &Path,
) -> Result<BackupReport, StoreError> {
    let finished = made.and_then(|report| {
        File::open(draft)
            .and_then(|file| file.sync_all())
            .map_err(|error| StoreError::io(draft, &error))?;
        rename(draft, to)?;
        sync_folder_of(to)?;
        Ok(BackupReport {
            path: to.to_owned(),
            ..report
        })
    });
    if finished.is_err() {
        // The error says what matters.
        let _ = remove_if_there(draft);
    }
    finished
}
