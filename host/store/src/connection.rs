//! One connection to the database file, and how it is set up.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, MAIN_DB, OpenFlags};

use crate::StoreError;
use crate::error::{Failure, Within};
use crate::files::beside;

/// How a store is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// How long a write waits for another process to end its own.
    pub busy_timeout: Duration,
    /// The size that the database file may grow to, in bytes; beyond it writes end in
    /// [`StoreError::Full`]. Rounded down to whole pages of 4 KiB.
    pub max_bytes: Option<u64>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(5),
            max_bytes: None,
        }
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The one that changes.
    Write,
    /// One of those that only read.
    Read,
    /// The one that moves the write-ahead log into the file.
    Checkpoint,
}

const PAGE: i64 = 4096;

/// The index of the write-ahead log is a multiple of this, in bytes
/// (<https://www.sqlite.org/walformat.html#the_wal_index_file_format>).
const PROBE: usize = 32 << 10;

/// The write-ahead log's size in pages at which a write moves it into the file itself,
/// because the thread that should have done it could not.
const LAST_RESORT_CHECKPOINT: u32 = 16_384;

/// What remains of the write-ahead log's file after it was emptied, in bytes: its usual
/// length, because to write over what is there is cheaper than to grow a file anew.
const KEPT_LOG: u32 = 32 << 20;

/// Opens the database file at `path`, which must exist.
pub(crate) fn open(
    path: &Path,
    options: &StoreOptions,
    purpose: Purpose,
) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| Failure::Sql(error).at(path))?;
    match connection.is_readonly(MAIN_DB) {
        Ok(true) => {
            return Err(StoreError::ReadOnly {
                path: path.to_owned(),
                why: "the file may not be written".to_owned(),
            });
        }
        Ok(false) => {}
        Err(error) => return Err(Failure::Sql(error).at(path)),
    }
    set_up(&connection, options, purpose).map_err(|failure| failure.at(path))?;
    Ok(connection)
}

fn set_up(connection: &Connection, options: &StoreOptions, purpose: Purpose) -> Within<()> {
    connection.busy_timeout(options.busy_timeout)?;
    if purpose == Purpose::Write {
        // Has to come before the file's first page is written.
        connection.pragma_update(None, "page_size", PAGE)?;
        let mode: String =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(Failure::Malformed(format!(
                "its journal mode stays `{mode}` instead of `wal`"
            )));
        }
    }
    // No memory mapping: where another program truncates a mapped file, the host would
    // die of SIGBUS instead of getting an error.
    connection.execute_batch(
        "PRAGMA mmap_size = 0;
         PRAGMA synchronous = NORMAL;
         PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA cell_size_check = ON;
         PRAGMA trusted_schema = OFF;",
    )?;
    match purpose {
        Purpose::Write => {
            connection.set_prepared_statement_cache_capacity(96);
            connection.execute_batch(&format!(
                "PRAGMA cache_size = -4096;
                 PRAGMA wal_autocheckpoint = {LAST_RESORT_CHECKPOINT};
                 PRAGMA journal_size_limit = {KEPT_LOG};"
            ))?;
            if let Some(bytes) = options.max_bytes {
                // A pragma that answers with a row.
                connection.query_row(
                    &format!(
                        "PRAGMA max_page_count = {}",
                        (bytes / PAGE.unsigned_abs()).max(1)
                    ),
                    [],
                    |_| Ok(()),
                )?;
            }
        }
        Purpose::Read => {
            connection.set_prepared_statement_cache_capacity(32);
            connection.execute_batch("PRAGMA cache_size = -1024; PRAGMA query_only = ON;")?;
        }
        Purpose::Checkpoint => {
            connection.execute_batch("PRAGMA cache_size = -64;")?;
        }
    }
    Ok(())
}

/// Makes the file at `path` if there is none, readable by its owner only: what SQLite
/// puts beside it gets the same mode.
pub(crate) fn create_private(path: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(StoreError::ReadOnly {
            path: path.to_owned(),
            why: error.to_string(),
        }),
        Err(error) => Err(StoreError::io(path, &error)),
    }
}

/// Says that the folder cannot be written or has no room where that is why a file cannot be
/// opened, read or written: SQLite does not tell.
pub(crate) fn explain(error: StoreError, path: &Path) -> StoreError {
    let StoreError::Io { .. } = error else {
        return error;
    };
    match probe(path) {
        Ok(()) => error,
        Err(found) => match found.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly {
                path: path.to_owned(),
                why: format!("files cannot be made in its folder: {found}"),
            },
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::Full {
                path: path.to_owned(),
                why: found.to_string(),
            },
            _ => error,
        },
    }
}

/// Writes a file beside `path` that is as long as the shortest one that SQLite needs there,
/// the index of its log.
fn probe(path: &Path) -> std::io::Result<()> {
    let probe = beside(path, &format!(".probe-{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&probe)
        .and_then(|mut file| {
            file.write_all(&[0; PROBE])?;
            // Some file systems look for room only now.
            file.sync_data()
        });
    // Nothing depends on it being gone.
    let _ = std::fs::remove_file(&probe);
    written
}
