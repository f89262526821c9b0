//! Watches the calls of all plugins of a host: how many are going on, and which crash.
//!
//! **Design.** Every plugin is wrapped before anybody calls it ([`wrap`]). A call takes a
//! [`Pass`] for the version's digest, which is refused where that version is in quarantine,
//! and gives it back when it ends, however that is. A call that ended in a crash is counted;
//! when there are as many as the plugin's policy allows, the version goes to quarantine at
//! once, in memory, and whoever looks after the host's installations is told, to write it
//! down and to do the rest.
//!
//! Runs look at the quarantine themselves and park what needs such a version: a step before
//! it is called, and a native step that failed while a plugin which its run pins is there.
//!
//! **Limits.** A session of a file system counts as one call from its beginning to its end.

mod tree;
mod wrap;

use super::{Crash, CrashPolicy, Quarantine};
use cofferdam_contract::failure::{CallError, Callee, Limit};
use cofferdam_contract::types::{Error, ErrorCode};
use cofferdam_store::{Store, StoreError, Time};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Which version is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Callable {
    /// The plugin's id.
    pub(super) plugin: String,
    /// Its version.
    pub(super) version: String,
    /// SHA-256 of its component.
    pub(super) digest: String,
}

/// A crash, and what came of it.
pub(super) struct Crashed {
    /// Which version crashed.
    pub(super) who: Callable,
    /// How.
    pub(super) crash: Crash,
    /// Set where it is in quarantine from this crash on.
    pub(super) quarantine: Option<Quarantine>,
}

/// Who is told of crashes.
type Observer = Box<dyn Fn(Crashed) + Send + Sync>;

/// What is known of one version.
#[derive(Default)]
struct Health {
    going_on: u64,
    /// Those that count, the oldest first.
    crashes: VecDeque<Time>,
    quarantine: Option<Quarantine>,
}

#[derive(Default)]
struct State {
    versions: HashMap<String, Health>,
}

/// Watches calls. One for all plugins of a host.
pub struct CallWatch {
    policies: BTreeMap<String, CrashPolicy>,
    state: Mutex<State>,
    /// Notified when a version has no call left.
    idle: Notify,
    observer: OnceLock<Observer>,
}

impl std::fmt::Debug for CallWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallWatch").finish_non_exhaustive()
    }
}

/// Whether a call ended because the plugin did something that it cannot go on from: it
/// trapped, was stopped at a limit of its own, or returned what the contract does not
/// allow. Where the host had no place for the call, nothing crashed.
pub fn is_crash(error: &CallError) -> bool {
    match error {
        CallError::Trapped { .. } | CallError::Nonsense { .. } => true,
        CallError::Limit { limit, .. } => matches!(
            limit,
            Limit::Memory
                | Limit::TableElements
                | Limit::Instances
                | Limit::Cpu
                | Limit::WallClock
                | Limit::Stack
                | Limit::HostCallBytes
                | Limit::OpenHandles
                | Limit::Egress
        ),
        CallError::Returned { .. } | CallError::Cancelled { .. } | CallError::Host { .. } => false,
    }
}

/// The right to one call of a version.
struct Pass {
    watch: Arc<CallWatch>,
    digest: String,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.watch.locked();
        if let Some(health) = state.versions.get_mut(&self.digest) {
            health.going_on = health.going_on.saturating_sub(1);
            if health.going_on == 0 {
                self.watch.idle.notify_waiters();
            }
        }
    }
}

impl CallWatch {
    /// Watches by these policies, `[plugins.ID.crash]` of the configuration.
    pub fn new(policies: BTreeMap<String, CrashPolicy>) -> Arc<Self> {
        Arc::new(Self {
            policies,
            state: Mutex::default(),
            idle: Notify::new(),
            observer: OnceLock::new(),
        })
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is done when the plugin crashes.
    pub fn policy(&self, plugin: &str) -> CrashPolicy {
        self.policies.get(plugin).copied().unwrap_or_default()
    }

    /// Has `observer` told of every crash from now on. Only the first one is.
    pub(super) fn observe(&self, observer: impl Fn(Crashed) + Send + Sync + 'static) {
        let _second = self.observer.set(Box::new(observer));
    }

    /// Takes over what the store knows of crashes and quarantines.
    pub(super) fn restore(&self, store: &Store) -> Result<(), StoreError> {
        let quarantines = store.quarantines()?;
        let mut counted = Vec::new();
        for (plugin, digest) in store.crashed_versions()? {
            let since = Time::now().minus(self.policy(&plugin).within.0);
            let crashes = store.crashes(&digest, since)?;
            counted.push((digest, crashes));
        }
        let mut state = self.locked();
        for quarantine in quarantines {
            let health = state.versions.entry(quarantine.digest.clone()).or_default();
            health.quarantine = Some(quarantine);
        }
        for (digest, crashes) in counted {
            let health = state.versions.entry(digest).or_default();
            health.crashes = crashes.iter().rev().map(|crash| crash.at).collect();
        }
        Ok(())
    }

    /// Since when and why a version is not called, where that is so.
    pub fn quarantine(&self, digest: &str) -> Option<Quarantine> {
        let state = self.locked();
        state.versions.get(digest)?.quarantine.clone()
    }

    /// Whether any version is in quarantine.
    pub fn has_quarantines(&self) -> bool {
        let state = self.locked();
        let mut versions = state.versions.values();
        versions.any(|health| health.quarantine.is_some())
    }

    /// How many calls of a version are going on.
    pub fn going_on(&self, digest: &str) -> u64 {
        let state = self.locked();
        state
            .versions
            .get(digest)
            .map_or(0, |health| health.going_on)
    }

    /// Returns when no call of a version is going on.
    pub(super) async fn idle(&self, digest: &str) {
        loop {
            let ended = self.idle.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.going_on(digest) == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Lets a version be called again, and forgets its crashes.
    pub(super) fn release(&self, digest: &str) {
        let mut state = self.locked();
        if let Some(health) = state.versions.get_mut(digest) {
            health.quarantine = None;
            health.crashes.clear();
        }
    }

    /// A call of a version begins.
    fn enter(self: &Arc<Self>, who: &Callable, call: &str) -> Result<Pass, CallError> {
        let mut state = self.locked();
        let health = state.versions.entry(who.digest.clone()).or_default();
        if let Some(quarantine) = &health.quarantine {
            return Err(refused(quarantine, call));
        }
        health.going_on = health.going_on.saturating_add(1);
        Ok(Pass {
            watch: Arc::clone(self),
            digest: who.digest.clone(),
        })
    }

    /// A call of a version ended.
    fn ended<T>(&self, who: &Callable, run: &str, result: &Result<T, CallError>) {
        let Err(error) = result else {
            return;
        };
        if !is_crash(error) {
            return;
        }
        let crash = Crash {
            call: error.callee().call.clone(),
            reason: one_line(&error.to_string()),
            run: (!run.is_empty()).then(|| run.to_owned()),
            at: Time::now(),
        };
        let quarantine = self.count(who, &crash);
        if let Some(observer) = self.observer.get() {
            observer(Crashed {
                who: who.clone(),
                crash,
                quarantine,
            });
        }
    }

    /// Counts a crash; says the quarantine that it leads to.
    fn count(&self, who: &Callable, crash: &Crash) -> Option<Quarantine> {
        let threshold = self.policy(&who.plugin).threshold();
        let mut state = self.locked();
        let health = state.versions.entry(who.digest.clone()).or_default();
        let (most, within) = threshold.unwrap_or((0, self.policy(&who.plugin).within.0));
        health.crashes.push_back(crash.at);
        let oldest = crash.at.minus(within);
        while health.crashes.front().is_some_and(|at| *at < oldest) || health.crashes.len() > 100 {
            health.crashes.pop_front();
        }
        if threshold.is_none() || health.crashes.len() < most || health.quarantine.is_some() {
            return None;
        }
        let quarantine = Quarantine {
            plugin: who.plugin.clone(),
            version: who.version.clone(),
            digest: who.digest.clone(),
            reason: format!(
                "it crashed {} within {}, the last time so: {}",
                times(health.crashes.len()),
                humantime::format_duration(Duration::from_secs(within.as_secs().max(1))),
                crash.reason
            ),
            since: crash.at,
        };
        health.quarantine = Some(quarantine.clone());
        Some(quarantine)
    }
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

/// The longest reason of a crash that is kept, bytes.
const LONGEST: usize = 1_000;

fn one_line(text: &str) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut end = line.len().min(LONGEST);
    while !line.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    line.truncate(end);
    line
}

/// What is said of a version in quarantine.
pub(crate) fn message(quarantine: &Quarantine) -> String {
    format!(
        "{} {} is in quarantine since {}: {}",
        quarantine.plugin, quarantine.version, quarantine.since, quarantine.reason
    )
}

/// What to do about it.
pub(crate) fn hint(quarantine: &Quarantine) -> String {
    format!(
        "`cofferdam plugin release {0}` lets it be called again; activating another version serves runs that begin from then on",
        quarantine.plugin
    )
}

fn refused(quarantine: &Quarantine, call: &str) -> CallError {
    CallError::Returned {
        callee: Callee {
            plugin: quarantine.plugin.clone(),
            call: call.to_owned(),
        },
        error: Error::new(ErrorCode::Unavailable, message(quarantine)).with_hint(hint(quarantine)),
    }
}
