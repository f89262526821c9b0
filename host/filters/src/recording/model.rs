//! What a recording holds.

use super::ask::Ask;
use super::wire::Answer;
use cofferdam_contract::failure::{CallError, Callee};
use cofferdam_contract::kinds::Kind;
use cofferdam_contract::services::Facts;
use cofferdam_contract::types::{BlockDevice, Error, StepPlan, Timestamp, Tree};
use serde::{Deserialize, Serialize};

/// Whose call was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedPlugin {
    /// The plugin's id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Sha256 of the component, lower-case hexadecimal.
    pub digest: String,
    /// Its kind.
    pub kind: Kind,
}

/// What a call is and was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Header {
    pub(crate) plugin: RecordedPlugin,
    pub(crate) run: String,
    /// The call's time; for pure kinds it stands.
    pub(crate) now: Timestamp,
    /// JSON text.
    pub(crate) settings: String,
    pub(crate) entry: Entry,
}

/// The function that was called, with its arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Entry {
    Fix {
        facts: Box<Facts>,
    },
    Inspect {
        devices: Vec<BlockDevice>,
        trees: Vec<Tree>,
    },
    Validate {
        input: String,
    },
    Plan {
        input: String,
    },
    Execute {
        input: String,
    },
    Compensate {
        input: String,
        output: Option<String>,
    },
}

impl Entry {
    pub(crate) fn function(&self) -> &'static str {
        match self {
            Self::Fix { .. } => "fix",
            Self::Inspect { .. } => "inspect",
            Self::Validate { .. } => "validate",
            Self::Plan { .. } => "plan",
            Self::Execute { .. } => "execute",
            Self::Compensate { .. } => "compensate",
        }
    }
}

/// One use of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exchange {
    pub(crate) ask: Ask,
    /// None where the call ended before it was answered.
    pub(crate) answer: Option<Result<Answer, Error>>,
}

/// What a call returned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Returned {
    Nothing,
    Plan(StepPlan),
    Output(String),
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ended {
    Returned(Returned),
    Error(Error),
    Trapped {
        reason: String,
    },
    Nonsense {
        reason: String,
    },
    Limit {
        limit: String,
        allowed: String,
    },
    Cancelled {},
    Host {
        reason: String,
    },
    /// Nobody waited for its end.
    Abandoned {},
}

/// The end of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct End {
    pub(crate) ended: Ended,
    /// After how many uses of services the run was first seen as cancelled.
    pub(crate) cancelled_after: Option<usize>,
}

/// Limits that the same call reaches at the same place on every machine.
const BY_PLACE: [&str; 6] = [
    "memory",
    "table-elements",
    "instances",
    "stack",
    "host-call-bytes",
    "open-handles",
];

impl Ended {
    pub(crate) fn of<T>(
        result: Result<&T, &CallError>,
        returned: impl FnOnce(&T) -> Returned,
    ) -> Self {
        match result {
            Ok(value) => Self::Returned(returned(value)),
            Err(error) => Self::of_failure(error),
        }
    }

    fn of_failure(error: &CallError) -> Self {
        match error {
            CallError::Returned { error, .. } => Self::Error(error.clone()),
            CallError::Trapped { reason, .. } => Self::Trapped {
                reason: reason.clone(),
            },
            CallError::Nonsense { reason, .. } => Self::Nonsense {
                reason: reason.clone(),
            },
            CallError::Limit { limit, allowed, .. } => Self::Limit {
                limit: limit.to_string(),
                allowed: allowed.clone(),
            },
            CallError::Cancelled { .. } => Self::Cancelled {},
            CallError::Host { reason, .. } => Self::Host {
                reason: reason.clone(),
            },
        }
    }

    /// Whether the call was stopped at a moment that the plugin did not decide: then only what
    /// came before can be the same again.
    pub(crate) fn is_by_time(&self) -> bool {
        match self {
            Self::Limit { limit, .. } => !BY_PLACE.contains(&limit.as_str()),
            Self::Cancelled {} | Self::Host { .. } | Self::Abandoned {} => true,
            Self::Returned(_) | Self::Error(_) | Self::Trapped { .. } | Self::Nonsense { .. } => {
                false
            }
        }
    }

    /// Whether it is the same end. What a trap says names places in the code, which another
    /// build has elsewhere.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Trapped { .. }, Self::Trapped { .. }) => true,
            (Self::Limit { limit, .. }, Self::Limit { limit: other, .. }) => limit == other,
            _ => self == other,
        }
    }

    /// The same end for another call.
    pub(crate) fn again(&self, callee: Callee) -> Result<Returned, CallError> {
        let host = |reason: String| CallError::Host {
            callee: callee.clone(),
            reason,
        };
        match self {
            Self::Returned(returned) => Ok(returned.clone()),
            Self::Error(error) => Err(CallError::Returned {
                callee,
                error: error.clone(),
            }),
            Self::Trapped { reason } => Err(CallError::Trapped {
                callee,
                reason: reason.clone(),
            }),
            Self::Nonsense { reason } => Err(CallError::Nonsense {
                callee,
                reason: reason.clone(),
            }),
            Self::Cancelled {} => Err(CallError::Cancelled { callee }),
            Self::Limit { limit, allowed } => Err(host(format!(
                "the recorded call was stopped at its {limit} limit of {allowed}"
            ))),
            Self::Host { reason } => Err(host(format!("the recorded call ended so: {reason}"))),
            Self::Abandoned {} => Err(host(
                "nobody waited for the end of the recorded call".to_owned(),
            )),
        }
    }

    /// Whether it ended well.
    pub(crate) fn is_well(&self) -> bool {
        matches!(self, Self::Returned(_))
    }
}

/// A recorded call.
#[derive(Debug, Clone)]
pub struct Recording {
    pub(crate) made_by: String,
    pub(crate) header: Header,
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) end: End,
}

impl Recording {
    /// Whose call it is.
    pub fn plugin(&self) -> &RecordedPlugin {
        &self.header.plugin
    }

    /// The function that was called.
    pub fn function(&self) -> &'static str {
        self.header.entry.function()
    }

    /// The run that the call belonged to.
    pub fn run(&self) -> &str {
        &self.header.run
    }

    /// The version of the program that made it.
    pub fn made_by(&self) -> &str {
        &self.made_by
    }

    /// How many uses of services are in it.
    pub fn exchanges(&self) -> usize {
        self.exchanges.len()
    }
}
