//! The open database: one writer, a few readers, and the thread that keeps the
//! write-ahead log short.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::checkpoint::Checkpointer;
use crate::connection::{self, Purpose, StoreOptions};
use crate::error::{Failure, Within};
use crate::files::sync_folder_of;
use crate::sync::LogSync;
use crate::{StoreError, Time, lost, migrate};

/// What a change outlives once its function has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of this process, however sudden. Costs some tens of microseconds.
    Process,
    /// The loss of power: the write-ahead log is synced. Costs what the disk's sync
    /// costs, which changes that are made at the same time share, so call it where a
    /// thread may block.
    Power,
}

/// How many connections for reading are kept open when nobody reads.
const IDLE_READERS: usize = 4;

/// The host's state. Clones share it.
///
/// Every function is one transaction: it happened as a whole, or an error is returned
/// and nothing happened. All functions block; those that change [`Durability::Process`]
/// are short enough to be called from an asynchronous task.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    options: StoreOptions,
    // Dropped before the writer, which then empties the log as the last connection.
    checkpointer: Checkpointer,
    readers: Mutex<Vec<Connection>>,
    writer: Arc<Mutex<Writer>>,
    log: LogSync,
    observers: RwLock<Vec<Observer>>,
}

/// Told how long each change took, with what it survives.
type Observer = Box<dyn Fn(Durability, Duration) + Send + Sync>;

/// The connection that changes.
pub(crate) struct Writer {
    connection: Connection,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

/// A transaction that changes.
pub(crate) struct Tx<'a> {
    connection: &'a Connection,
    /// The transaction's time.
    pub(crate) now: Time,
}

impl Deref for Tx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// Ends a transaction that was not committed.
struct Rollback<'a>(&'a Connection);

impl Drop for Rollback<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit()
            && let Err(error) = self.0.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}

fn run(connection: &Connection, statement: &str) -> Within<()> {
    connection.prepare_cached(statement)?.execute([])?;
    Ok(())
}

impl Writer {
    /// Changes in one transaction; says also whether anything was changed.
    fn transaction<T>(&mut self, body: impl FnOnce(&Tx<'_>) -> Within<T>) -> Within<(T, bool)> {
        let before = self.connection.total_changes();
        run(&self.connection, "BEGIN IMMEDIATE")?;
        let _rollback = Rollback(&self.connection);
        let transaction = Tx {
            connection: &self.connection,
            now: Time::now(),
        };
        let value = body(&transaction)?;
        run(&self.connection, "COMMIT")?;
        Ok((value, self.connection.total_changes() != before))
    }
}

impl Store {
    /// Opens the database file at `path`, which is made if there is none (mode 0600),
    /// and brings it to the newest schema. Where what is beside an empty or missing file
    /// shows that there was a database, none is begun.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`], [`StoreError::Corrupt`], [`StoreError::ReadOnly`],
    /// [`StoreError::Locked`], [`StoreError::Full`], [`StoreError::Io`]; the file is then
    /// as it was.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, StoreOptions::default())
    }

    /// Like [`Store::open`], with other than the usual options.
    ///
    /// # Errors
    /// Those of [`Store::open`].
    pub fn open_with(path: impl AsRef<Path>, options: StoreOptions) -> Result<Self, StoreError> {
        let path = path.as_ref();
        Self::open_at(path.to_owned(), options).map_err(|error| connection::explain(error, path))
    }

    fn open_at(path: PathBuf, options: StoreOptions) -> Result<Self, StoreError> {
        let length = std::fs::metadata(&path).map(|metadata| metadata.len());
        if matches!(length, Err(_) | Ok(0)) {
            lost::refuse_anew(&path)?;
        }
        connection::create_private(&path)?;
        let mut connection = connection::open(&path, &options, Purpose::Write)?;
        // SQLite takes a file whose content is gone for one that is new.
        if migrate::check(&connection, &path)? == 0 {
            lost::refuse_anew(&path)?;
        }
        let found = migrate::migrate(&mut connection, &path)?;
        if found != 0 && found != migrate::newest() {
            tracing::info!(
                from = found,
                to = migrate::newest(),
                "the database was upgraded"
            );
        }
        let writer = Arc::new(Mutex::new(Writer { connection }));
        let checkpointer = Checkpointer::start(&path, &options, Arc::clone(&writer))?;
        // The names of the file and of its log, which syncs of the log do not cover.
        sync_folder_of(&path)?;
        let log = LogSync::new(&path);
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                log,
                observers: RwLock::default(),
                options,
                checkpointer,
                readers: Mutex::new(Vec::new()),
                writer,
            }),
        })
    }

    /// Refuses a place where a database was and is none: what is beside it shows that.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub fn check_not_lost(path: impl AsRef<Path>) -> Result<(), StoreError> {
        lost::refuse_anew(path.as_ref())
    }

    /// Has `observer` told of each change from now on: how durable it was, and how long it
    /// took, waiting for others included. It is told before the change is answered, one after
    /// the other where there are several.
    pub fn observe_writes(&self, observer: impl Fn(Durability, Duration) + Send + Sync + 'static) {
        let mut observers = self
            .inner
            .observers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        observers.push(Box::new(observer));
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Changes in one transaction.
    pub(crate) fn write<T>(
        &self,
        durability: Durability,
        body: impl FnOnce(&Tx<'_>) -> Within<T>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let result = lock(&self.inner.writer).transaction(body);
        self.inner.checkpointer.committed();
        let (value, changed) = result.map_err(|failure| self.error(failure))?;
        // What an earlier call has committed and is still syncing comes before all that
        // follows from it here, in the log as well.
        if durability == Durability::Power && changed {
            self.inner.log.sync()?;
        }
        let observers = self
            .inner
            .observers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        for observer in observers.iter() {
            observer(durability, began.elapsed());
        }
        Ok(value)
    }

    /// Reads at one moment, however many statements it takes.
    pub(crate) fn read<T>(
        &self,
        body: impl FnOnce(&Connection) -> Within<T>,
    ) -> Result<T, StoreError> {
        let idle = lock(&self.inner.readers).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.own_reader()?,
        };
        let result = (|| {
            run(&connection, "BEGIN DEFERRED")?;
            let _rollback = Rollback(&connection);
            body(&connection)
        })();
        match result {
            Ok(value) => {
                let mut readers = lock(&self.inner.readers);
                if readers.len() < IDLE_READERS {
                    readers.push(connection);
                }
                Ok(value)
            }
            // The connection of a failed read is not used again.
            Err(failure) => Err(self.error(failure)),
        }
    }

    /// A connection of the caller's own, for reading.
    pub(crate) fn own_reader(&self) -> Result<Connection, StoreError> {
        let path = &self.inner.path;
        connection::open(path, &self.inner.options, Purpose::Read)
            .map_err(|error| connection::explain(error, path))
    }

    /// What `failure` is for callers.
    fn error(&self, failure: Failure) -> StoreError {
        let path = &self.inner.path;
        connection::explain(failure.at(path), path)
    }
}

/// The lock, also where a panic poisoned it: a transaction cut short was rolled back.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
