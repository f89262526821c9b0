//! From the configuration to plugins with filters around them.

use crate::around::{Around, Delay, Fail, Guard, Log, Rate, When, Wrapped, functions};
use crate::chance;
use crate::clock::{Clock, SystemClock};
use crate::config::{FilterConfig, LogLevel};
use crate::error::FilterError;
use crate::record::{Recorder, Recordings};
use crate::replay::Replayer;
use cofferdam_contract::kinds::{
    DiskSource, Filesystem, Fixer, Inspector, Kind, Plugin, PluginSet, WorkflowStep,
};
use cofferdam_contract::types::Level;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Takes secrets out of texts that are written to a recording, beyond those that the recorded
/// call itself was given.
pub trait Redact: Send + Sync {
    /// The text without secrets.
    fn text<'a>(&self, text: &'a str) -> Cow<'a, str>;
}

/// One filter of a plugin.
enum Filter {
    Around(Arc<Guard>),
    Record(Arc<Recordings>),
    Replay(PathBuf),
}

/// The filters of all plugins. What they count, they count over everything they are put
/// around: two versions of a plugin share its rate.
#[derive(Default)]
pub struct Filters(BTreeMap<String, Vec<(FilterConfig, Filter)>>);

/// Puts one filter around a plugin of a kind that has no recordings.
macro_rules! plain {
    () => {
        |inner, filter| match filter {
            Filter::Around(guard) => Some(Ok(Arc::new(around(inner, guard)))),
            Filter::Record(_) | Filter::Replay(_) => None,
        }
    };
}

/// Puts one filter around a plugin of a kind that has them.
macro_rules! recordable {
    () => {
        |inner, filter| match filter {
            Filter::Around(guard) => Some(Ok(Arc::new(around(inner, guard)))),
            Filter::Record(to) => Some(Ok(Arc::new(Recorder::new(inner, to)))),
            Filter::Replay(from) => Some(Replayer::new(inner, from).map(|it| Arc::new(it) as _)),
        }
    };
}

impl Filters {
    /// Makes the filters that are configured, by plugin id. Recordings are not read yet.
    ///
    /// # Errors
    /// A value that is out of its range.
    pub fn from_config<'a>(
        plugins: impl IntoIterator<Item = (&'a str, &'a [FilterConfig])>,
        redact: &Arc<dyn Redact>,
    ) -> Result<Self, FilterError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        Self::with_clock(plugins, redact, &clock)
    }

    pub(crate) fn with_clock<'a>(
        plugins: impl IntoIterator<Item = (&'a str, &'a [FilterConfig])>,
        redact: &Arc<dyn Redact>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, FilterError> {
        let mut all = BTreeMap::new();
        for (plugin, configured) in plugins {
            let made: Result<Vec<_>, _> = configured
                .iter()
                .map(|config| Ok((config.clone(), make(plugin, config, redact, clock)?)))
                .collect();
            all.insert(plugin.to_owned(), made?);
        }
        Ok(Self(all))
    }

    /// The plugins that have filters, and the names of these, nearest first.
    pub fn plugins(&self) -> impl Iterator<Item = (&str, Vec<&'static str>)> {
        let some = self.0.iter().filter(|(_, filters)| !filters.is_empty());
        some.map(|(id, filters)| {
            let names = filters.iter().map(|(config, _)| config.name());
            (id.as_str(), names.collect())
        })
    }

    /// The plugins of migrations with their filters.
    ///
    /// # Errors
    /// Filters that do not fit a plugin, and recordings that cannot be used.
    pub fn wrap_set(&self, set: PluginSet) -> Result<PluginSet, FilterError> {
        Ok(PluginSet {
            sources: each(set.sources, |plugin| self.wrap_disk_source(plugin))?,
            filesystems: each(set.filesystems, |plugin| self.wrap_filesystem(plugin))?,
            inspectors: each(set.inspectors, |plugin| self.wrap_inspector(plugin))?,
            fixers: each(set.fixers, |plugin| self.wrap_fixer(plugin))?,
            sessions: set.sessions,
        })
    }

    /// A disk source with its filters.
    ///
    /// # Errors
    /// As [`wrap_set`](Self::wrap_set).
    pub fn wrap_disk_source(
        &self,
        plugin: Arc<dyn DiskSource>,
    ) -> Result<Arc<dyn DiskSource>, FilterError> {
        self.wrap(plugin, Kind::DiskSource, plain!())
    }

    /// A file system with its filters; they are around its sessions too.
    ///
    /// # Errors
    /// As [`wrap_set`](Self::wrap_set).
    pub fn wrap_filesystem(
        &self,
        plugin: Arc<dyn Filesystem>,
    ) -> Result<Arc<dyn Filesystem>, FilterError> {
        self.wrap(plugin, Kind::Filesystem, plain!())
    }

    /// An inspector with its filters.
    ///
    /// # Errors
    /// As [`wrap_set`](Self::wrap_set).
    pub fn wrap_inspector(
        &self,
        plugin: Arc<dyn Inspector>,
    ) -> Result<Arc<dyn Inspector>, FilterError> {
        self.wrap(plugin, Kind::Inspector, recordable!())
    }

    /// A fixer with its filters.
    ///
    /// # Errors
    /// As [`wrap_set`](Self::wrap_set).
    pub fn wrap_fixer(&self, plugin: Arc<dyn Fixer>) -> Result<Arc<dyn Fixer>, FilterError> {
        self.wrap(plugin, Kind::Fixer, recordable!())
    }

    /// A workflow step with its filters.
    ///
    /// # Errors
    /// As [`wrap_set`](Self::wrap_set).
    pub fn wrap_step(
        &self,
        plugin: Arc<dyn WorkflowStep>,
    ) -> Result<Arc<dyn WorkflowStep>, FilterError> {
        self.wrap(plugin, Kind::WorkflowStep, recordable!())
    }

    /// Puts the filters around a plugin, the nearest first. `one` is none where the filter is
    /// not for its kind.
    fn wrap<P: Plugin + ?Sized>(
        &self,
        mut plugin: Arc<P>,
        kind: Kind,
        one: impl Fn(Arc<P>, &Filter) -> Option<Result<Arc<P>, FilterError>>,
    ) -> Result<Arc<P>, FilterError> {
        let id = plugin.manifest().id.clone();
        for (config, filter) in self.0.get(&id).into_iter().flatten() {
            let known = functions(kind);
            for function in config.functions() {
                if !known.contains(&function.as_str()) {
                    return Err(FilterError::Function {
                        plugin: id,
                        filter: config.name(),
                        function: function.clone(),
                        kind,
                        known: known.join(", "),
                    });
                }
            }
            plugin = match one(plugin, filter) {
                Some(wrapped) => wrapped?,
                None => {
                    return Err(FilterError::NotForKind {
                        plugin: id,
                        filter: config.name(),
                        kind,
                    });
                }
            };
        }
        Ok(plugin)
    }
}

fn each<P: ?Sized>(
    plugins: Vec<Arc<P>>,
    wrap: impl Fn(Arc<P>) -> Result<Arc<P>, FilterError>,
) -> Result<Vec<Arc<P>>, FilterError> {
    plugins.into_iter().map(wrap).collect()
}

fn around<P: ?Sized>(inner: Arc<P>, guard: &Arc<Guard>) -> Wrapped<P> {
    Wrapped {
        inner,
        guard: Arc::clone(guard),
    }
}

/// The filter of a configuration.
fn make(
    plugin: &str,
    config: &FilterConfig,
    redact: &Arc<dyn Redact>,
    clock: &Arc<dyn Clock>,
) -> Result<Filter, FilterError> {
    let around: Box<dyn Around> = match config {
        FilterConfig::Delay {
            fixed_ms,
            jitter_ms,
            seed,
            ..
        } => Box::new(Delay::new(*fixed_ms, *jitter_ms, *seed, Arc::clone(clock))),
        FilterConfig::Error {
            code,
            message,
            retry_after_ms,
            every,
            probability,
            seed,
            ..
        } => {
            let when = when(plugin, *every, *probability, *seed)?;
            Box::new(Fail::new(
                when,
                (*code).into(),
                message.clone(),
                *retry_after_ms,
            ))
        }
        FilterConfig::Rate {
            per_second,
            burst,
            excess,
            ..
        } => {
            let interval = interval(plugin, *per_second)?;
            if *burst == 0 {
                return refuse(plugin, "rate", "burst", "is 0; write at least 1");
            }
            Box::new(Rate::new(interval, *burst, *excess, Arc::clone(clock)))
        }
        FilterConfig::Log { level, .. } => Box::new(Log(match level {
            LogLevel::Debug => Level::Debug,
            LogLevel::Info => Level::Info,
            LogLevel::Warn => Level::Warn,
        })),
        FilterConfig::Record {
            functions,
            folder,
            keep,
            at_most,
        } => {
            return Ok(Filter::Record(Arc::new(Recordings::new(
                folder.clone(),
                functions.clone(),
                *keep,
                *at_most,
                Arc::clone(redact),
            ))));
        }
        FilterConfig::Replay { from } => return Ok(Filter::Replay(from.clone())),
    };
    Ok(Filter::Around(Arc::new(Guard {
        functions: config.functions().to_vec(),
        around,
    })))
}

fn refuse<T>(
    plugin: &str,
    filter: &'static str,
    key: &'static str,
    reason: impl Into<String>,
) -> Result<T, FilterError> {
    Err(FilterError::Value {
        plugin: plugin.to_owned(),
        filter,
        key,
        reason: reason.into(),
    })
}

fn when(
    plugin: &str,
    every: Option<u64>,
    probability: Option<f64>,
    seed: Option<u64>,
) -> Result<When, FilterError> {
    match (every, probability) {
        (Some(0), None) => refuse(plugin, "error", "every", "is 0; write 1 for every call"),
        (Some(every), None) => Ok(When::Every(every)),
        (None, Some(probability)) if probability > 0.0 && probability <= 1.0 => {
            let seed = seed.unwrap_or_else(|| {
                let seed = chance::seed();
                tracing::info!(
                    plugin,
                    seed,
                    "a filter makes calls fail by chance; give it this seed to have the same ones fail again"
                );
                seed
            });
            Ok(When::Chance { probability, seed })
        }
        (None, Some(probability)) => refuse(
            plugin,
            "error",
            "probability",
            format!("is {probability}; write a number above 0 and at most 1"),
        ),
        (None, None) => refuse(
            plugin,
            "error",
            "every",
            "is missing; say which calls fail, with `every` or `probability`",
        ),
        (Some(_), Some(_)) => refuse(
            plugin,
            "error",
            "every",
            "is there beside `probability`; take one of them out",
        ),
    }
}

/// The time between two calls.
fn interval(plugin: &str, per_second: f64) -> Result<Duration, FilterError> {
    // The slowest is one call in a day, the fastest what a timer can tell apart.
    let sensible = (1.0 / 86_400.0..=1e6).contains(&per_second);
    match Duration::try_from_secs_f64(per_second.recip()) {
        Ok(interval) if sensible => Ok(interval),
        _ => refuse(
            plugin,
            "rate",
            "per-second",
            format!("is {per_second}; write a number from 0.0000116 (one a day) to 1000000"),
        ),
    }
}
