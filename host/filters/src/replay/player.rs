//! The plugin out of a recording: the filter `replay`.

use super::divergence::Divergence;
use super::nearest::Nearest;
use crate::error::FilterError;
use crate::recording::{Answer, Ask, Entry, Recording, Returned};
use async_trait::async_trait;
use cofferdam_contract::failure::{CallError, Callee};
use cofferdam_contract::kinds::{
    Call, Fixer, FixerGuest, Inspector, Plugin, StepServices, WorkflowStep,
};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::services::{Edits, Findings, Trees, View};
use cofferdam_contract::types::{Error, ErrorCode, StepPlan};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A plugin that recordings answer for.
pub(crate) struct Replayer<P: ?Sized> {
    inner: Arc<P>,
    recordings: Vec<(PathBuf, Recording)>,
    /// The recordings of a step, by place, that were an answer.
    given: Mutex<HashSet<usize>>,
}

impl<P: Plugin + ?Sized> Replayer<P> {
    /// Reads the recordings of the plugin.
    pub(crate) fn new(inner: Arc<P>, from: &Path) -> Result<Self, FilterError> {
        let plugin = inner.manifest().id.clone();
        let read = Recording::read_all(from).map_err(|error| FilterError::Recording {
            plugin: plugin.clone(),
            error,
        })?;
        let mut recordings = read;
        recordings.retain(|(_, recording)| recording.plugin().id == plugin);
        if recordings.is_empty() {
            return Err(FilterError::NothingRecorded {
                plugin,
                from: from.to_owned(),
            });
        }
        Ok(Self {
            inner,
            recordings,
            given: Mutex::default(),
        })
    }

    fn callee(&self, function: &str) -> Callee {
        Callee {
            plugin: self.inner.manifest().id.clone(),
            call: function.to_owned(),
        }
    }

    /// None fits.
    fn diverged(&self, function: &str, nearest: &Nearest) -> CallError {
        let reason = nearest.reason();
        CallError::Host {
            callee: self.callee(function),
            reason: reason.unwrap_or_else(|| format!("there is no recording of {function}")),
        }
    }

    /// What the plugin was given beside its services, if it is not what was recorded.
    fn given_otherwise(
        &self,
        recording: &Recording,
        call: &Call,
        entry: &Entry,
    ) -> Option<Divergence> {
        let header = &recording.header;
        let differs = |what: &str, expected: Value, got: Value| {
            (expected != got)
                .then(|| Divergence::new(0, (what.to_owned(), Value::Null), expected, got))
        };
        let value = |entry: &Entry| serde_json::to_value(entry).unwrap_or_default();
        let settings = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
        differs(
            "digest",
            header.plugin.digest.clone().into(),
            self.inner.digest().into(),
        )
        .or_else(|| {
            differs(
                "settings",
                settings(&header.settings),
                settings(&call.settings),
            )
        })
        .or_else(|| differs(entry.function(), value(&header.entry), value(entry)))
    }

    /// Plays the first recording that fits: its reads, as far as nothing was recorded yet, are
    /// tried before anything is.
    async fn play(&self, call: &Call, entry: &Entry, live: Live<'_>) -> Result<(), CallError> {
        let function = entry.function();
        let mut nearest = Nearest::default();
        for (file, recording) in &self.recordings {
            if let Some(divergence) = self.given_otherwise(recording, call, entry) {
                nearest.offer(file, false, divergence);
                continue;
            }
            if let Some(divergence) = live.compare(recording, Until::FirstResult).await {
                nearest.offer(file, true, divergence);
                continue;
            }
            return match live.compare(recording, Until::End).await {
                Some(divergence) => {
                    let mut chosen = Nearest::default();
                    chosen.offer(file, true, divergence);
                    Err(self.diverged(function, &chosen))
                }
                None => {
                    let again = recording.end.ended.again(self.callee(function));
                    again.map(|_| ())
                }
            };
        }
        Err(self.diverged(function, &nearest))
    }
}

impl Replayer<dyn WorkflowStep> {
    /// The recorded end of a call like this one.
    fn end(&self, call: &Call, entry: &Entry) -> Result<Returned, CallError> {
        let function = entry.function();
        let mut fitting = Vec::new();
        let mut nearest = Nearest::default();
        for (place, (file, recording)) in self.recordings.iter().enumerate() {
            if recording.function() != function {
                continue;
            }
            match self.given_otherwise(recording, call, entry) {
                None => fitting.push((place, recording)),
                Some(divergence) => nearest.offer(file, false, divergence),
            }
        }
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = fitting
            .iter()
            .find(|(place, _)| !given.contains(place))
            .or(fitting.last());
        match fresh {
            Some((place, recording)) => {
                given.insert(*place);
                recording.end.ended.again(self.callee(function))
            }
            None => Err(self.diverged(function, &nearest)),
        }
    }

    fn another(&self, function: &str) -> CallError {
        CallError::Host {
            callee: self.callee(function),
            reason: "its recording ends with what another function returns".to_owned(),
        }
    }
}

/// How far a recording is compared.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    FirstResult,
    End,
}

/// The services of the call that goes on.
enum Live<'a> {
    Guest(&'a dyn View, &'a dyn Edits),
    Disks(&'a dyn Trees, &'a dyn Findings),
}

impl Live<'_> {
    /// Uses the services as recorded, and returns the first answer that is another.
    async fn compare(&self, recording: &Recording, until: Until) -> Option<Divergence> {
        let compared = recording.exchanges.iter();
        let compared = compared.filter(|exchange| !exchange.ask.is_telling());
        for (after, exchange) in compared.enumerate() {
            if until == Until::FirstResult && exchange.ask.is_result() {
                return None;
            }
            let Some(expected) = &exchange.answer else {
                return None;
            };
            let got = self.perform(&exchange.ask).await;
            if got != *expected {
                return Some(differing(after, &exchange.ask, expected, &got));
            }
        }
        None
    }

    async fn perform(&self, ask: &Ask) -> Result<Answer, Error> {
        match (self, ask) {
            (Self::Guest(view, _), Ask::View(ask)) => ask.perform(*view).await,
            (Self::Guest(_, edits), Ask::Edits(ask)) => ask.perform(*edits).await,
            (Self::Disks(trees, _), Ask::Trees(ask)) => ask.perform(*trees).await,
            (Self::Disks(_, findings), Ask::Findings(ask)) => ask.perform(*findings),
            _ => Err(Error::new(
                ErrorCode::Corrupt,
                "the recording uses a service that this kind of plugin does not have",
            )),
        }
    }
}

fn differing(
    after: usize,
    ask: &Ask,
    expected: &Result<Answer, Error>,
    got: &Result<Answer, Error>,
) -> Divergence {
    let value = |answer: &Result<Answer, Error>| match answer {
        Ok(answer) => json!({ "answer": answer }),
        Err(error) => json!({ "error": error }),
    };
    let mut divergence = Divergence::new(after, ask.parts(), value(expected), value(got));
    if let (Ok(Answer::Bytes(expected)), Ok(Answer::Bytes(got))) = (expected, got) {
        divergence.of_contents(expected, got);
    }
    divergence
}

impl<P: Plugin + ?Sized> Plugin for Replayer<P> {
    fn manifest(&self) -> &Manifest {
        self.inner.manifest()
    }

    fn digest(&self) -> &str {
        self.inner.digest()
    }
}

#[async_trait]
impl Fixer for Replayer<dyn Fixer> {
    async fn fix(&self, call: Call, guest: FixerGuest) -> Result<(), CallError> {
        let entry = Entry::Fix {
            facts: Box::new(guest.facts.as_ref().clone()),
        };
        let live = Live::Guest(guest.view.as_ref(), guest.edits.as_ref());
        self.play(&call, &entry, live).await
    }
}

#[async_trait]
impl Inspector for Replayer<dyn Inspector> {
    async fn inspect(
        &self,
        call: Call,
        trees: Arc<dyn Trees>,
        findings: Arc<dyn Findings>,
    ) -> Result<(), CallError> {
        let entry = Entry::Inspect {
            devices: trees.devices(),
            trees: trees.list(),
        };
        let live = Live::Disks(trees.as_ref(), findings.as_ref());
        self.play(&call, &entry, live).await
    }
}

#[async_trait]
impl WorkflowStep for Replayer<dyn WorkflowStep> {
    async fn validate(&self, call: Call, _: StepServices, input: &str) -> Result<(), CallError> {
        let entry = Entry::Validate {
            input: input.to_owned(),
        };
        self.end(&call, &entry).map(|_| ())
    }

    async fn plan(&self, call: Call, _: StepServices, input: &str) -> Result<StepPlan, CallError> {
        let entry = Entry::Plan {
            input: input.to_owned(),
        };
        match self.end(&call, &entry)? {
            Returned::Plan(plan) => Ok(plan),
            Returned::Nothing | Returned::Output(_) => Err(self.another("plan")),
        }
    }

    async fn execute(&self, call: Call, _: StepServices, input: &str) -> Result<String, CallError> {
        let entry = Entry::Execute {
            input: input.to_owned(),
        };
        match self.end(&call, &entry)? {
            Returned::Output(output) => Ok(output),
            Returned::Nothing | Returned::Plan(_) => Err(self.another("execute")),
        }
    }

    async fn compensate(
        &self,
        call: Call,
        _: StepServices,
        input: &str,
        output: Option<&str>,
    ) -> Result<(), CallError> {
        let entry = Entry::Compensate {
            input: input.to_owned(),
            output: output.map(str::to_owned),
        };
        self.end(&call, &entry).map(|_| ())
    }
}
