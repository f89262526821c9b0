//! What `delay`, `error`, `rate` and `log` have in common: something before a call, and
//! something after it, whatever the call is.

mod delay;
mod error;
mod kinds;
mod log;
mod measure;
mod rate;
mod tree;

pub(crate) use delay::Delay;
pub(crate) use error::{Fail, When};
pub(crate) use log::Log;
pub(crate) use rate::Rate;

use async_trait::async_trait;
use cofferdam_contract::failure::{CallError, Callee};
use cofferdam_contract::kinds::Kind;
use cofferdam_contract::services::Context;
use measure::Measure;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The functions of a kind, as configurations and failures name them.
pub fn functions(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::DiskSource => &["discover"],
        Kind::Filesystem => &[
            "open",
            "probe",
            "mount",
            "stat",
            "list-directory",
            "read-at",
            "read-link",
            "list-xattrs",
            "get-xattr",
            "free-space",
            "create",
            "write-at",
            "truncate",
            "rename",
            "link",
            "symlink",
            "make-directory",
            "remove",
            "set-attributes",
            "set-xattr",
            "commit",
        ],
        Kind::Inspector => &["inspect"],
        Kind::Fixer => &["fix"],
        Kind::WorkflowStep => &["validate", "plan", "execute", "compensate"],
    }
}

/// A call that a filter sees.
pub(crate) struct Calling<'a> {
    pub(crate) plugin: &'a str,
    pub(crate) function: &'static str,
    pub(crate) context: &'a dyn Context,
    /// Bytes of its arguments, where they are bytes or text of any length.
    pub(crate) sent: u64,
}

impl Calling<'_> {
    pub(crate) fn callee(&self) -> Callee {
        Callee {
            plugin: self.plugin.to_owned(),
            call: self.function.to_owned(),
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy)]
pub(crate) enum Outcome<'a> {
    /// With so many bytes of result.
    Done(u64),
    Failed(&'a CallError),
    /// Its future was dropped: a time-out, or nobody wants it any more.
    Abandoned,
}

/// What a filter does around a call.
#[async_trait]
pub(crate) trait Around: Send + Sync {
    /// Before it; an error ends it here.
    async fn before(&self, _: &Calling<'_>) -> Result<(), CallError> {
        Ok(())
    }

    /// After it.
    fn after(&self, _: &Calling<'_>, _: Outcome<'_>, _: Duration) {}
}

/// A filter and the functions it is for.
pub(crate) struct Guard {
    /// All where there is none.
    pub(crate) functions: Vec<String>,
    pub(crate) around: Box<dyn Around>,
}

impl Guard {
    fn is_for(&self, function: &str) -> bool {
        self.functions.is_empty() || self.functions.iter().any(|name| name == function)
    }

    /// Calls `inner` with the filter around it.
    async fn through<T: Measure>(
        &self,
        calling: Calling<'_>,
        inner: impl Future<Output = Result<T, CallError>> + Send,
    ) -> Result<T, CallError> {
        if !self.is_for(calling.function) {
            return inner.await;
        }
        self.around.before(&calling).await?;
        let mut open = Open {
            around: self.around.as_ref(),
            calling,
            began: Instant::now(),
            is_open: true,
        };
        let result = inner.await;
        open.end(match &result {
            Ok(value) => Outcome::Done(value.bytes()),
            Err(error) => Outcome::Failed(error),
        });
        result
    }
}

/// A call that goes on. Dropping it is its end too.
struct Open<'a> {
    around: &'a dyn Around,
    calling: Calling<'a>,
    began: Instant,
    is_open: bool,
}

impl Open<'_> {
    fn end(&mut self, outcome: Outcome<'_>) {
        self.is_open = false;
        self.around
            .after(&self.calling, outcome, self.began.elapsed());
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.end(Outcome::Abandoned);
        }
    }
}

/// A plugin with a filter in front.
pub(crate) struct Wrapped<P: ?Sized> {
    pub(crate) inner: Arc<P>,
    pub(crate) guard: Arc<Guard>,
}
