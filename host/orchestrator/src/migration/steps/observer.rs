//! A run's context as a migration's observer, and its cancellation as a flag for threads.

use crate::observer::{Observer, Stage};
use cofferdam_contract::services::Context;
use cofferdam_contract::types::Level;
use cofferdam_disk::CancelFlag;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

/// How often a run's cancellation is looked for.
const POLL: Duration = Duration::from_millis(50);

/// The name of the field of a log line that says which stage begins.
pub const STAGE: &str = "stage";

/// Tells a run what happens.
pub(super) struct Told(pub(super) Arc<dyn Context>);

impl Observer for Told {
    fn stage(&self, stage: Stage) {
        let field = (STAGE.to_owned(), stage.name().to_owned());
        let message = format!("stage: {}", stage.name());
        self.0.log("migrate", Level::Info, &message, &[field]);
    }

    fn progress(&self, what: &str, done: u64, total: u64, unit: &str) {
        self.0.progress(what, done, total, unit);
    }

    fn log(&self, plugin: &str, level: Level, message: &str, fields: &[(String, String)]) {
        self.0.log(plugin, level, message, fields);
    }
}

/// Sets a flag when the run is cancelled, and when the call that holds this is dropped:
/// threads notice neither.
pub(super) struct CancelBridge {
    flag: CancelFlag,
    watcher: AbortHandle,
}

impl CancelBridge {
    pub(super) fn new(context: Arc<dyn Context>) -> Self {
        let flag = CancelFlag::new();
        let watched = flag.clone();
        let watcher = tokio::spawn(async move {
            while !context.cancelled() {
                tokio::time::sleep(POLL).await;
            }
            watched.cancel();
        });
        Self {
            flag,
            watcher: watcher.abort_handle(),
        }
    }

    pub(super) fn flag(&self) -> CancelFlag {
        self.flag.clone()
    }
}

impl Drop for CancelBridge {
    fn drop(&mut self) {
        self.watcher.abort();
        self.flag.cancel();
    }
}
