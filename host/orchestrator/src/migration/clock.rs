//! How long stages take.

use crate::observer::{Observer, Stage};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Measures stages and tells the observer of them.
pub(super) struct Clock {
    observer: Arc<dyn Observer>,
    current: Mutex<Option<(Stage, Instant)>>,
    timings: Mutex<BTreeMap<String, u64>>,
}

impl Clock {
    pub(super) fn new(observer: Arc<dyn Observer>) -> Arc<Self> {
        Arc::new(Self {
            observer,
            current: Mutex::default(),
            timings: Mutex::default(),
        })
    }

    pub(super) fn begin(&self, stage: Stage) {
        self.end();
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((stage, Instant::now()));
        self.observer.stage(stage);
    }

    pub(super) fn end(&self) {
        let ended = self
            .current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some((stage, since)) = ended {
            let spent = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            let mut timings = self.timings.lock().unwrap_or_else(PoisonError::into_inner);
            *timings.entry(stage.name().to_owned()).or_default() += spent;
        }
    }

    pub(super) fn timings(&self) -> BTreeMap<String, u64> {
        self.end();
        self.timings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
