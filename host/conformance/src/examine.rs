//! Making every check.

use crate::checks::{self, CHECKS, Check};
use crate::observe::{How, Observation, observe};
use crate::report::{Checked, Report};
use crate::scenario::{self, Given, Scenario};
use crate::settings;
use crate::subject::Subject;
use cofferdam_capabilities::runtime;
use cofferdam_contract::failure::{CallError, Limit};
use cofferdam_contract::grants::capability;
use cofferdam_contract::kinds::Kind;
use cofferdam_contract::limits::LimitObserver;
use cofferdam_runtime::{LoadError, Options, PluginFile, StartError};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;

/// Why a component could not be tested. What is wrong with the plugin itself is in the report.
#[derive(Debug, Error)]
pub enum KitError {
    /// The file is no plugin for this host.
    #[error("the file is no plugin for this host: {0}")]
    NoPlugin(#[from] LoadError),
    /// The plugin cannot be put in its place among others.
    #[error("the plugin cannot be loaded: {0}")]
    Order(String),
    /// The cases cannot be used.
    #[error("the cases cannot be used: {0}")]
    Cases(String),
    /// The runtime does not start.
    #[error("the plugin runtime cannot start: {0}")]
    Start(#[from] StartError),
    /// There is no room for what the plugin is given.
    #[error("no room for temporary files: {0}")]
    Scratch(#[source] std::io::Error),
}

/// Settings that no schema lets through, and that a plugin may meet all the same: its code may
/// be older than its manifest.
const BAD_SETTINGS: [&str; 4] = ["{}", "[]", "null", "{\"conformance-kit\":[1]}"];

/// How often a plugin that was stopped is tried again.
const ATTEMPTS: usize = 3;

/// Which limits were reached.
#[derive(Debug, Default)]
struct Reached(Mutex<BTreeSet<Limit>>);

impl Reached {
    fn any(&self, of: &[Limit]) -> Vec<Limit> {
        let reached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        of.iter()
            .copied()
            .filter(|limit| reached.contains(limit))
            .collect()
    }
}

impl LimitObserver for Reached {
    fn limit_reached(&self, _: &str, limit: Limit) {
        let mut reached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reached.insert(limit);
    }
}

/// Tests the component in `file`, with the cases in the folder `cases` where there is one (a
/// plugin's folder, of which `cases/` is used). The runtime is as `options` say, less limits of
/// an operator: a plugin has to work within those of its manifest.
///
/// # Errors
/// The file is no plugin, or the cases cannot be read. What the plugin does wrong is in the
/// report.
pub async fn test(file: &Path, cases: Option<&Path>, options: Options) -> Result<Report, KitError> {
    let file = PluginFile::read(file)?;
    let reached = Arc::new(Reached::default());
    let runtime = runtime(&Options {
        limits: Default::default(),
        observer: Arc::clone(&reached) as _,
        ..options
    })?;
    let subject = Subject::of(&runtime, &file)?;
    let kind = file.inspection.kind;
    let mut examination = Examination {
        subject,
        kind,
        reached,
        ordinary: scenario::of_kind(kind),
        cases: match cases {
            Some(folder) => scenario::cases(kind, folder)?,
            None => Vec::new(),
        },
        checked: Vec::new(),
    };
    examination.look(&file);
    examination.run().await?;
    let inspection = file.inspection;
    Ok(Report {
        plugin: inspection.manifest.id,
        version: inspection.manifest.version,
        world: kind,
        digest: inspection.digest,
        passed: !examination.checked.iter().any(Checked::failed),
        checks: examination.checked,
    })
}

struct Examination {
    subject: Subject,
    kind: Kind,
    reached: Arc<Reached>,
    ordinary: Vec<Scenario>,
    cases: Vec<Scenario>,
    checked: Vec<Checked>,
}

/// A sentence about something that was seen, with what the plugin had been given.
fn seen(scenario: &Scenario, what: impl std::fmt::Display) -> String {
    format!("{}: {what}", scenario.name)
}

/// Whether a call was neither answered nor stopped at a limit.
fn unanswered(failure: &CallError) -> bool {
    matches!(
        failure,
        CallError::Trapped { .. } | CallError::Nonsense { .. } | CallError::Host { .. }
    )
}

fn at_limit(failure: &CallError) -> bool {
    matches!(failure, CallError::Limit { .. })
}

impl Examination {
    fn add(&mut self, check: &Check, found: Vec<String>) {
        self.checked.push(Checked::of(check, found));
    }

    fn skip(&mut self, check: &Check, reason: &str) {
        self.checked.push(Checked::not_applicable(check, reason));
    }

    /// What is seen without running anything.
    fn look(&mut self, file: &PluginFile) {
        let (inspection, manifest) = (&file.inspection, &file.inspection.manifest);
        self.add(&checks::MANIFEST, settings::undescribed(manifest));
        let unused = manifest.capabilities.iter().filter(|wanted| {
            let mut imports = inspection.imports.iter();
            !imports.any(|import| capability(import) == wanted.name)
        });
        let unused =
            unused.map(|wanted| format!("it wants `{}` and imports none of it", wanted.name));
        self.add(&checks::IMPORTS, unused.collect());
        let sockets = inspection
            .wasi
            .iter()
            .filter(|name| name.starts_with("wasi:sockets/"));
        self.add(
            &checks::SOCKETS,
            sockets.map(|name| format!("it imports `{name}`")).collect(),
        );
    }

    /// What is seen of it when it runs.
    async fn run(&mut self) -> Result<(), KitError> {
        if let Err(error) = self.subject.code.load().await {
            self.add(&checks::LOADS, vec![error.to_string()]);
            self.add(&checks::SETTINGS, settings::untyped(&self.subject.manifest));
            for check in CHECKS.iter().skip(self.checked.len()) {
                self.skip(check, "it does not load");
            }
            return Ok(());
        }
        self.add(&checks::LOADS, Vec::new());
        self.add(&checks::SETTINGS, settings::untyped(&self.subject.manifest));
        let scenarios: Vec<Scenario> = self.ordinary.iter().chain(&self.cases).cloned().collect();
        let observed = self.all(&scenarios, How::default()).await?;
        let dropped = self.reached.any(&[Limit::LogBytes, Limit::LogRate]);
        self.settings_read(&observed).await?;
        self.answers(&scenarios, &observed);
        self.same(&scenarios, &observed).await?;
        self.idempotent(&scenarios, &observed);
        let dropped = dropped
            .iter()
            .map(|limit| format!("lines were dropped at its {limit} limit"));
        self.add(&checks::LOG, dropped.collect());
        self.cancelled().await?;
        self.compare(&observed)
    }

    async fn all(
        &self,
        scenarios: &[Scenario],
        how: How<'_>,
    ) -> Result<Vec<Observation>, KitError> {
        let mut observed = Vec::new();
        for scenario in scenarios {
            observed.push(observe(&self.subject, scenario, how).await?);
        }
        Ok(observed)
    }

    async fn settings_read(&mut self, observed: &[Observation]) -> Result<(), KitError> {
        let mut found = Vec::new();
        // An input that a step refuses would end before its settings are read.
        let first_case = observed.get(self.ordinary.len());
        let given = self.ordinary.first().into_iter().zip(observed.first());
        for (scenario, ordinary) in given.chain(self.cases.first().into_iter().zip(first_case)) {
            if ordinary.failures.iter().any(unanswered) {
                // What it does with good settings is another check's.
                continue;
            }
            for settings in BAD_SETTINGS {
                let how = How {
                    settings: Some(settings),
                    ..How::default()
                };
                let observation = observe(&self.subject, scenario, how).await?;
                let crashed = observation
                    .failures
                    .iter()
                    .filter(|failure| unanswered(failure));
                found.extend(crashed.map(|failure| {
                    seen(scenario, format!("with the settings {settings}: {failure}"))
                }));
            }
        }
        self.add(&checks::SETTINGS_READ, found);
        Ok(())
    }

    fn answers(&mut self, scenarios: &[Scenario], observed: &[Observation]) {
        let found = |wanted: &dyn Fn(&CallError) -> bool| -> Vec<String> {
            let pairs = scenarios.iter().zip(observed);
            pairs
                .flat_map(|(scenario, observation)| {
                    let failures = observation
                        .failures
                        .iter()
                        .filter(|failure| wanted(failure));
                    failures.map(|failure| seen(scenario, failure))
                })
                .collect()
        };
        let empty = |failure: &CallError| {
            let error = failure.returned();
            error.is_some_and(|error| error.message.trim().is_empty())
        };
        let (limits, answers) = (found(&at_limit), found(&unanswered));
        let messages = found(&empty);
        self.add(&checks::LIMITS, limits);
        self.add(&checks::ANSWERS, answers);
        self.add(&checks::MESSAGES, messages);
    }

    async fn same(
        &mut self,
        scenarios: &[Scenario],
        observed: &[Observation],
    ) -> Result<(), KitError> {
        let how = How {
            run: "another run",
            ..How::default()
        };
        let mut found = Vec::new();
        for (scenario, first) in scenarios.iter().zip(observed) {
            let second = observe(&self.subject, scenario, how).await?;
            // Where a call is stopped is no matter of the plugin's.
            let stopped = |of: &Observation| of.failures.iter().any(at_limit);
            if !stopped(first) && !stopped(&second) && first.outcome != second.outcome {
                found.push(seen(
                    scenario,
                    format!("first {}, then {}", first.outcome, second.outcome),
                ));
            }
        }
        self.add(&checks::SAME_ANSWER, found);
        Ok(())
    }

    fn idempotent(&mut self, scenarios: &[Scenario], observed: &[Observation]) {
        if matches!(self.kind, Kind::DiskSource | Kind::Inspector) {
            let reason = "it looks and records, and leaves nothing that it could find again";
            self.skip(&checks::IDEMPOTENT, reason);
            return;
        }
        let pairs = scenarios.iter().zip(observed);
        let found = pairs.flat_map(|(scenario, observation)| {
            observation.again.iter().map(|again| seen(scenario, again))
        });
        let found = found.collect();
        self.add(&checks::IDEMPOTENT, found);
    }

    /// Whether the host has to stop the plugin each time. Once may be the fault of a machine that
    /// had no time for it.
    async fn is_always_stopped(&self, scenario: &Scenario, how: How<'_>) -> Result<bool, KitError> {
        for _ in 0..ATTEMPTS {
            let observation = observe(&self.subject, scenario, how).await?;
            let mut failures = observation.failures.iter();
            if !failures.any(|failure| matches!(failure, CallError::Cancelled { .. })) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn cancelled(&mut self) -> Result<(), KitError> {
        let how = How {
            cancelled: true,
            ..How::default()
        };
        let mut found = Vec::new();
        for scenario in &self.ordinary {
            if self.is_always_stopped(scenario, how).await? {
                found.push(seen(scenario, "it went on until the host stopped it"));
                // One is enough: each takes seconds.
                break;
            }
        }
        self.add(&checks::CANCELLATION, found);
        Ok(())
    }

    fn compare(&mut self, observed: &[Observation]) -> Result<(), KitError> {
        if self.cases.is_empty() {
            let reason = match self.kind {
                Kind::Filesystem => "what file systems do is held against the tools of their own",
                _ => "there are none; give a folder with `cases/` by --cases",
            };
            self.skip(&checks::CASES, reason);
            return Ok(());
        }
        let mut found = Vec::new();
        for (scenario, observation) in self
            .cases
            .iter()
            .zip(observed.iter().skip(self.ordinary.len()))
        {
            let expected = expected(scenario)?;
            if expected != observation.outcome {
                found.push(seen(
                    scenario,
                    format!("{} instead of {expected}", observation.outcome),
                ));
            }
        }
        self.add(&checks::CASES, found);
        Ok(())
    }
}

/// What a case's `expected.json` says, in the form of an observation.
fn expected(scenario: &Scenario) -> Result<Value, KitError> {
    let expected = match &scenario.given {
        Given::Fixer(case) => case.expected().map(serde_json::to_value),
        Given::Inspector(case) => case.expected().map(serde_json::to_value),
        Given::Source(case) => case.expected().map(serde_json::to_value),
        Given::Step(case) => case.expected().map(serde_json::to_value),
        _ => return Ok(Value::Null),
    };
    expected
        .map_err(|error| KitError::Cases(error.to_string()))?
        .map_err(|error| KitError::Cases(error.to_string()))
}
