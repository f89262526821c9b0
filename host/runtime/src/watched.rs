//! A plugin's name and whoever counts the limits that it reaches.

use cofferdam_contract::failure::{CallError, Limit};
use cofferdam_contract::limits::LimitObserver;
use std::sync::Arc;

/// One plugin under observation.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    plugin: Arc<str>,
    observer: Arc<dyn LimitObserver>,
}

impl Watched {
    pub(crate) fn new(plugin: Arc<str>, observer: Arc<dyn LimitObserver>) -> Self {
        Self { plugin, observer }
    }

    #[cfg(test)]
    pub(crate) fn nobody() -> Self {
        Self::new("nobody".into(), Arc::new(()))
    }

    pub(crate) fn plugin(&self) -> &Arc<str> {
        &self.plugin
    }

    pub(crate) fn reached(&self, limit: Limit) {
        self.observer.limit_reached(&self.plugin, limit);
    }

    /// Tells of a call that was stopped at a limit. Egress told of itself when it was
    /// refused, whether or not the guest goes on.
    pub(crate) fn ended<T>(&self, result: Result<T, CallError>) -> Result<T, CallError> {
        if let Err(CallError::Limit { limit, .. }) = &result
            && *limit != Limit::Egress
        {
            self.reached(*limit);
        }
        result
    }
}
