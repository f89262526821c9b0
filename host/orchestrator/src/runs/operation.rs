//! Host operations: what has an effect outside happens once for each key.
//!
//! The journal knows of an operation before it has any effect, and its result before the
//! step is told. After a kill the step runs again and comes to the same name: it is told
//! the recorded result, or the key under which to find what is going on.

use super::artifact::store_error;
use super::context::StepName;
use super::notice::Publisher;
use crate::metrics::Metrics;
use async_trait::async_trait;
use cofferdam_contract::services::{Begun, Operations};
use cofferdam_contract::types::{Error, ErrorCode};
use cofferdam_store::{Event, OperationBegun, Store, StoreError};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What became of the operations of one attempt.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// The keys of operations that were begun and have not ended, by name.
    open: BTreeMap<String, String>,
    /// The keys of all that this attempt came to, by name.
    keys: BTreeMap<String, String>,
    lost: Option<String>,
}

impl Ledger {
    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys of operations that were begun and have not ended.
    pub fn open(&self) -> Vec<String> {
        self.entries().open.values().cloned().collect()
    }

    /// The name of an operation whose end nobody knows, if there is one.
    pub fn lost(&self) -> Option<String> {
        self.entries().lost.clone()
    }
}

/// The operations of one attempt.
pub struct StepOperations {
    /// Whose operations.
    pub name: StepName,
    /// Where they are recorded.
    pub store: Store,
    /// Who is told.
    pub publisher: Arc<Publisher>,
    /// What counts them.
    pub metrics: Arc<Metrics>,
    /// What the engine looks at when the attempt is over.
    pub ledger: Arc<Ledger>,
}

/// The longest name of an operation, bytes.
const LONGEST_NAME: usize = 128;

impl StepOperations {
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store, &str, &str) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.store.clone();
        let (run, step) = (Arc::clone(&self.name.run), Arc::clone(&self.name.step));
        let written = tokio::task::spawn_blocking(move || work(&store, &run, &step))
            .await
            .map_err(|error| Error::new(ErrorCode::Other, error.to_string()))?
            .map_err(|error| store_error(&error))?;
        self.publisher.events_written();
        Ok(written)
    }

    fn key(&self, name: &str) -> Result<String, Error> {
        self.ledger
            .entries()
            .keys
            .get(name)
            .cloned()
            .ok_or_else(|| {
                Error::new(
                    ErrorCode::Conflict,
                    format!("the operation `{name}` was not begun in this attempt"),
                )
            })
    }

    fn remember(&self, name: &str, key: &str, open: bool) {
        let mut entries = self.ledger.entries();
        entries.keys.insert(name.to_owned(), key.to_owned());
        if open {
            entries.open.insert(name.to_owned(), key.to_owned());
        }
    }
}

#[async_trait]
impl Operations for StepOperations {
    async fn begin(&self, name: &str, request: Value) -> Result<Begun, Error> {
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains('\0') {
            return Err(Error::invalid(format!(
                "the name of an operation has 1 to {LONGEST_NAME} bytes, none of them zero"
            )));
        }
        let wanted = name.to_owned();
        let (begun, _): (OperationBegun, Vec<Event>) = self
            .write(move |store, run, step| store.begin_operation(run, step, &wanted, &request))
            .await?;
        Ok(match begun {
            OperationBegun::New { key } => {
                self.metrics.operation("started");
                self.remember(name, &key, true);
                Begun::New { key }
            }
            OperationBegun::Started { key } => {
                self.metrics.operation("reused");
                self.remember(name, &key, true);
                Begun::Started { key }
            }
            OperationBegun::Finished { key, result } => {
                self.metrics.operation("reused");
                self.remember(name, &key, false);
                Begun::Finished { result }
            }
            OperationBegun::Lost { .. } => {
                self.ledger.entries().lost = Some(name.to_owned());
                return Err(Error::new(
                    ErrorCode::Other,
                    format!("nobody knows how the operation `{name}` ended"),
                )
                .with_hint(
                    "look at what it was to do, then resume the run: it will be begun anew",
                ));
            }
        })
    }

    async fn finish(&self, name: &str, result: Value) -> Result<(), Error> {
        let key = self.key(name)?;
        self.write(move |store, _, _| store.finish_operation(&key, &result))
            .await?;
        self.metrics.operation("finished");
        self.ledger.entries().open.remove(name);
        Ok(())
    }

    async fn lost(&self, name: &str) -> Result<(), Error> {
        let key = self.key(name)?;
        self.write(move |store, _, _| store.lose_operation(&key))
            .await?;
        self.metrics.operation("lost");
        let mut entries = self.ledger.entries();
        entries.open.remove(name);
        entries.lost = Some(name.to_owned());
        Ok(())
    }
}
