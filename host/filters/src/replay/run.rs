//! A plugin run against a recording, which stands for the host.

use super::divergence::Divergence;
use super::script::Script;
use crate::recording::{Ended, Entry, Recording, Returned};
use crate::services::{Side, SideContext, SideTrees};
use async_trait::async_trait;
use cofferdam_contract::kinds::{
    Call, Fixer, FixerGuest, Inspector, Kind, Plugin, StepServices, WorkflowStep,
};
use cofferdam_contract::services::{Artifacts, Begun, Operations};
use cofferdam_contract::types::{Error, ErrorCode};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A plugin of a kind that has recordings.
pub enum Subject {
    /// A fixer.
    Fixer(Arc<dyn Fixer>),
    /// An inspector.
    Inspector(Arc<dyn Inspector>),
    /// A workflow step.
    Step(Arc<dyn WorkflowStep>),
}

impl Subject {
    fn plugin(&self) -> (&dyn Plugin, Kind) {
        match self {
            Self::Fixer(plugin) => (plugin.as_ref(), Kind::Fixer),
            Self::Inspector(plugin) => (plugin.as_ref(), Kind::Inspector),
            Self::Step(plugin) => (plugin.as_ref(), Kind::WorkflowStep),
        }
    }
}

/// What came of a replay.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The plugin did what it did.
    Identical {
        /// How many uses of services were compared.
        exchanges: usize,
        /// Whether its end was compared too; the recorded call may have been stopped, or have
        /// sent a request, whose answer no recording has.
        whole: bool,
    },
    /// It did something else.
    Diverged(Box<Divergence>),
}

/// Why a recording cannot be replayed with a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It is another plugin's.
    #[error(
        "the recording is of {recorded}, and this is {given}; name the component with --component, or a folder that has it with --plugins"
    )]
    WrongPlugin {
        /// Whose it is.
        recorded: String,
        /// What was given.
        given: String,
    },
    /// Its parts do not belong together.
    #[error("the recording has the function {function}, which no {kind} has")]
    WrongFunction {
        /// The function.
        function: &'static str,
        /// The kind that the recording names.
        kind: Kind,
    },
}

/// Runs the plugin against the recording. Nothing outside is touched: every service that the
/// call is given is recorded.
///
/// # Errors
/// A plugin that the recording is not of. That it does something else is a [`Verdict`].
pub async fn replay(recording: &Recording, subject: &Subject) -> Result<Verdict, ReplayError> {
    let (plugin, kind) = subject.plugin();
    let recorded = &recording.header.plugin;
    let id = &plugin.manifest().id;
    if recorded.id != *id || recorded.kind != kind {
        return Err(ReplayError::WrongPlugin {
            recorded: format!("{} ({})", recorded.id, recorded.kind),
            given: format!("{id} ({kind})"),
        });
    }
    let script = Arc::new(Script::new(recording));
    let header = &recording.header;
    let call = Call {
        context: Arc::new(SideContext {
            side: Side::Recorded(Arc::clone(&script)),
            run: header.run.clone(),
            now: kind.is_pure().then_some(header.now),
        }),
        settings: header.settings.clone(),
    };
    let ended = call_again(recording, subject, call, &script).await?;
    Ok(judge(recording, &script, &ended))
}

async fn call_again(
    recording: &Recording,
    subject: &Subject,
    call: Call,
    script: &Arc<Script>,
) -> Result<Ended, ReplayError> {
    let nothing = |(): &()| Returned::Nothing;
    let entry = &recording.header.entry;
    let services = || StepServices {
        tools: Side::recorded(script),
        secrets: Side::recorded(script),
        http: Side::recorded(script),
        operations: Arc::new(NotRecorded),
        artifacts: Arc::new(NotRecorded),
    };
    Ok(match (subject, entry) {
        (Subject::Fixer(fixer), Entry::Fix { facts }) => {
            let guest = FixerGuest {
                view: Side::recorded(script),
                facts: Arc::new(facts.as_ref().clone()),
                edits: Side::recorded(script),
            };
            Ended::of(fixer.fix(call, guest).await.as_ref(), nothing)
        }
        (Subject::Inspector(inspector), Entry::Inspect { devices, trees }) => {
            let trees = Arc::new(SideTrees {
                side: Side::Recorded(Arc::clone(script)),
                devices: devices.clone(),
                trees: trees.clone(),
            });
            let findings = Side::recorded(script);
            let result = inspector.inspect(call, trees, findings).await;
            Ended::of(result.as_ref(), nothing)
        }
        (Subject::Step(step), Entry::Validate { input }) => {
            let result = step.validate(call, services(), input).await;
            Ended::of(result.as_ref(), nothing)
        }
        (Subject::Step(step), Entry::Plan { input }) => {
            let result = step.plan(call, services(), input).await;
            Ended::of(result.as_ref(), |plan| Returned::Plan(plan.clone()))
        }
        (Subject::Step(step), Entry::Execute { input }) => {
            let result = step.execute(call, services(), input).await;
            Ended::of(result.as_ref(), |output| Returned::Output(output.clone()))
        }
        (Subject::Step(step), Entry::Compensate { input, output }) => {
            let result = step
                .compensate(call, services(), input, output.as_deref())
                .await;
            Ended::of(result.as_ref(), nothing)
        }
        _ => {
            return Err(ReplayError::WrongFunction {
                function: entry.function(),
                kind: recording.header.plugin.kind,
            });
        }
    })
}

/// An end, as divergences show it.
fn shown(ended: &Ended) -> Value {
    json!({ "end": ended })
}

fn judge(recording: &Recording, script: &Script, ended: &Ended) -> Verdict {
    let exchanges = script.so_far();
    let diverged = |divergence| Verdict::Diverged(Box::new(divergence));
    if let Some(divergence) = script.divergence() {
        return diverged(divergence);
    }
    if script.has_left() {
        return Verdict::Identical {
            exchanges,
            whole: false,
        };
    }
    let recorded = &recording.end.ended;
    let function = recording.function().to_owned();
    let missing = script.missing();
    match missing {
        // Stopped while it waited for this answer: the plugin came as far.
        Some(exchange) if exchange.answer.is_some() => {
            let (expected, arguments) = exchange.ask.parts();
            diverged(Divergence::new(
                exchanges,
                (function, Value::Null),
                json!({ "function": expected, "arguments": arguments }),
                shown(ended),
            ))
        }
        _ if recorded.is_by_time() => Verdict::Identical {
            exchanges,
            whole: false,
        },
        _ if recorded.is_same(ended) => Verdict::Identical {
            exchanges,
            whole: true,
        },
        _ => diverged(Divergence::new(
            exchanges,
            (function, Value::Null),
            shown(recorded),
            shown(ended),
        )),
    }
}

/// The services of native steps, which have no recordings.
struct NotRecorded;

fn not_recorded<T>() -> Result<T, Error> {
    Err(Error::new(
        ErrorCode::Unsupported,
        "a recording has no operations and artifacts: components do not reach them",
    ))
}

#[async_trait]
impl Operations for NotRecorded {
    async fn begin(&self, _: &str, _: Value) -> Result<Begun, Error> {
        not_recorded()
    }
    async fn finish(&self, _: &str, _: Value) -> Result<(), Error> {
        not_recorded()
    }
    async fn lost(&self, _: &str) -> Result<(), Error> {
        not_recorded()
    }
}

#[async_trait]
impl Artifacts for NotRecorded {
    async fn path(&self, _: &str) -> Result<PathBuf, Error> {
        not_recorded()
    }
    async fn add(&self, _: &Path, _: &str) -> Result<String, Error> {
        not_recorded()
    }
}
