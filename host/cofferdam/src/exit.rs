//! How the program ends. `docs/exit-codes.md` is the list for people.

use crate::cli::Output;
use crate::client::problem::{ClientError, Problem};
use crate::render::safe;
use cofferdam_contract::types::ErrorCode;
use cofferdam_disk::DiskError;
use cofferdam_orchestrator::migration::discover::contract_error;
use cofferdam_orchestrator::migration::steps::error_of;
use cofferdam_orchestrator::runs::problem::code_name;
use cofferdam_orchestrator::{MigrateError, OpenError};
use cofferdam_registry::RegistryError;
use cofferdam_registry::policy::Distrust;
use cofferdam_store::{Activation, Run, StoreError, VersionName};
use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

/// Something failed; the message says what.
pub const FAILED: u8 = 1;
/// The command line could not be understood.
pub const USAGE: u8 = 2;
/// The plan was shown and not approved.
pub const NOT_APPROVED: u8 = 3;
/// The guest cannot be migrated as it is: a plugin blocked the plan, or there is no
/// operating system.
pub const BLOCKED: u8 = 4;
/// The plan given to `--apply` no longer fits.
pub const OUTDATED: u8 = 5;
/// The run ended without success.
pub const RUN_FAILED: u8 = 6;
/// The run waits for an approval.
pub const WAITING: u8 = 7;
/// The run is parked until somebody looks at it.
pub const ATTENTION: u8 = 8;
/// The run was cancelled.
pub const RUN_CANCELLED: u8 = 9;
/// The server cannot be reached, or its answer broke off.
pub const UNREACHABLE: u8 = 10;
/// The server does not know the token, or its user may not do this.
pub const NOT_AUTHORISED: u8 = 11;
/// A plugin does something else than its recording has.
pub const DIVERGED: u8 = 12;
/// The plugin wants what was not granted to it, and nobody here granted it.
pub const NOT_GRANTED: u8 = 13;
/// A stage of the activation failed; the version that served before serves.
pub const NOT_ACTIVATED: u8 = 14;
/// A check of the conformance kit failed.
pub const NONCONFORMING: u8 = 15;
/// What is in a registry is not what it has to be: changed, unsigned, or signed by others.
pub const NOT_VERIFIED: u8 = 16;
/// Stopped by the user.
pub const CANCELLED: u8 = 130;

/// A plan that nobody approved.
#[derive(Debug, thiserror::Error)]
#[error(
    "the plan was not approved; nothing was written. Answer y, pass --yes, or save it with --plan FILE and run it with --apply FILE"
)]
pub struct NotApproved;

/// A plugin that was to be installed and nobody agreed.
#[derive(Debug, thiserror::Error)]
#[error("{0} was not installed: nobody agreed. Answer y, or pass --yes")]
pub struct NotInstalled(pub String);

/// A plugin that wants more than it was granted; the message says what, and the commands and
/// the lines that would grant it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotGranted(pub String);

/// An activation that was not seen to succeed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ActivationFailed {
    /// The exit code.
    code: u8,
    message: String,
}

impl ActivationFailed {
    /// Of an activation that failed.
    pub fn new(activation: &Activation) -> Self {
        let version = |name: &Option<VersionName>| {
            let version = name.as_ref().map(|name| name.version.clone());
            version.unwrap_or_else(|| "no version".to_owned())
        };
        Self {
            code: NOT_ACTIVATED,
            message: format!(
                "{} {} was not activated, its stage {} failed: {}; {} serves as before",
                activation.plugin,
                version(&activation.to),
                activation.stage,
                activation
                    .reason
                    .as_deref()
                    .unwrap_or("for no reason given"),
                version(&activation.from),
            ),
        }
    }

    /// Of an activation that nobody watches any more.
    pub fn unwatched(activation: &Activation) -> Self {
        Self {
            code: CANCELLED,
            message: format!(
                "no longer watching the activation of {}; `cofferdam plugin history {}` says what came of it",
                activation.plugin, activation.plugin
            ),
        }
    }
}

/// A run that did not end well; the message says how.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct RunEnded {
    /// The exit code.
    pub code: u8,
    /// What happened and what to do.
    pub message: String,
    /// The contract's code of the run's problem, where it has one.
    problem: Option<String>,
}

impl RunEnded {
    /// An end that is nobody's error.
    pub const fn new(code: u8, message: String) -> Self {
        Self {
            code,
            message,
            problem: None,
        }
    }

    /// The end of this run.
    pub fn of(run: &Run, code: u8, message: String) -> Self {
        Self {
            problem: run.error.as_ref().map(|problem| problem.code.clone()),
            ..Self::new(code, message)
        }
    }
}

/// Ends after a command line that could not be understood, or that asked for help. Whoever
/// asked for JSON gets the reason as JSON, although nothing else of the line counts.
pub fn usage(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let asked = |pair: &[OsString]| matches!(pair, [option, value] if option == "--output" && value == "json");
    let json = arguments.windows(2).any(asked)
        || arguments.iter().any(|argument| argument == "--output=json");
    if !error.use_stderr() || !json {
        // Nobody is there to be told.
        error.print().ok();
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
    }
    let text = error.to_string();
    let text = text.trim_start_matches("error: ").trim_end();
    eprintln!("{}", problem(&anyhow::Error::msg(text.to_owned()), USAGE));
    ExitCode::from(USAGE)
}

/// Prints the error with its causes, for whom `output` says, and gives the code that fits.
pub fn failed(error: &anyhow::Error, output: Output) -> ExitCode {
    let code = code(error);
    match output {
        Output::Text => text(error),
        Output::Json => eprintln!("{}", problem(error, code)),
    }
    ExitCode::from(code)
}

fn text(error: &anyhow::Error) {
    eprintln!("error: {}", safe(&error.to_string()));
    for cause in causes(error) {
        eprintln!("  caused by: {}", safe(&cause));
    }
    if let Some(ClientError::Problem(problem)) = error.downcast_ref()
        && let Some(hint) = problem.more.get("hint").and_then(Value::as_str)
    {
        eprintln!("  hint: {}", safe(hint));
    }
}

/// The causes that say something new: transparent wrappers repeat what they wrap.
fn causes(error: &anyhow::Error) -> Vec<String> {
    let mut shown = error.to_string();
    let mut causes = Vec::new();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !shown.contains(&cause) {
            causes.push(cause.clone());
        }
        shown = cause;
    }
    causes
}

/// The error as a problem-details object (RFC 9457): the server's own where it sent one.
fn problem(error: &anyhow::Error, code: u8) -> Value {
    let mut problem = match error.downcast_ref::<ClientError>() {
        Some(ClientError::Problem(problem)) => Problem::clone(problem),
        _ => Problem {
            title: title(code).to_owned(),
            status: 0,
            detail: error.to_string(),
            code: own_code(error).unwrap_or_else(|| error_code(code).to_owned()),
            more: Map::new(),
        },
    };
    let mut causes = causes(error);
    causes.retain(|cause| !problem.detail.contains(cause));
    if !causes.is_empty() {
        problem.more.insert("causes".to_owned(), json!(causes));
    }
    problem.more.insert("exit_code".to_owned(), json!(code));
    let mut value = serde_json::to_value(&problem).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        members
            .entry("type")
            .or_insert_with(|| json!("about:blank"));
        // There was no HTTP answer to have a status.
        if members.get("status") == Some(&json!(0)) {
            members.remove("status");
        }
    }
    value
}

const fn title(code: u8) -> &'static str {
    match code {
        USAGE => "Command line not understood",
        NOT_APPROVED => "Plan not approved",
        BLOCKED => "Guest cannot be migrated",
        OUTDATED => "Plan outdated",
        RUN_FAILED => "Run failed",
        WAITING => "Run waits for approval",
        ATTENTION => "Run needs attention",
        RUN_CANCELLED => "Run cancelled",
        UNREACHABLE => "Server unreachable",
        NOT_AUTHORISED => "Not authorised",
        NOT_GRANTED => "Not granted",
        NOT_ACTIVATED => "Plugin not activated",
        NOT_VERIFIED => "Plugin not verified",
        CANCELLED => "Cancelled",
        _ => "Command failed",
    }
}

/// The contract's error code that comes nearest.
const fn error_code(code: u8) -> &'static str {
    match code {
        NOT_APPROVED | NOT_AUTHORISED | NOT_GRANTED | NOT_VERIFIED => "denied",
        OUTDATED | WAITING => "conflict",
        BLOCKED => "unsupported",
        USAGE => "invalid",
        UNREACHABLE => "unavailable",
        CANCELLED | RUN_CANCELLED => "cancelled",
        _ => "other",
    }
}

/// The contract's code of an error that says more than the exit code does.
fn own_code(error: &anyhow::Error) -> Option<String> {
    if let Some(ended) = error.downcast_ref::<RunEnded>() {
        return ended.problem.clone();
    }
    let mut chain = error.chain();
    let own = chain.find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<OpenError>() {
            return match error {
                OpenError::InUse(_) => Some(ErrorCode::Locked),
                OpenError::Folder { error, .. } => io_code(error),
                OpenError::Store(error) => store_code(error),
            };
        }
        if let Some(error) = cause.downcast_ref::<MigrateError>() {
            return Some(error_of(error).code);
        }
        if let Some(error) = cause.downcast_ref::<DiskError>() {
            return Some(contract_error(error).code);
        }
        if let Some(error) = cause.downcast_ref::<RegistryError>() {
            return Some(registry_code(error));
        }
        cause
            .downcast_ref::<StoreError>()
            .and_then(store_code)
            .or_else(|| cause.downcast_ref::<io::Error>().and_then(io_code))
    });
    own.map(|code| code_name(code).to_owned())
}

fn store_code(error: &StoreError) -> Option<ErrorCode> {
    match error {
        StoreError::Full { .. } => Some(ErrorCode::NoSpace),
        StoreError::ReadOnly { .. } => Some(ErrorCode::Denied),
        StoreError::Corrupt { .. } => Some(ErrorCode::Corrupt),
        StoreError::Locked { .. } => Some(ErrorCode::Locked),
        StoreError::NewerSchema { .. } => Some(ErrorCode::Unsupported),
        _ => None,
    }
}

fn registry_code(error: &RegistryError) -> ErrorCode {
    match error {
        RegistryError::Reference { .. } | RegistryError::Settings(_) => ErrorCode::Invalid,
        RegistryError::Unreachable { .. } => ErrorCode::Unavailable,
        RegistryError::TimedOut { .. } => ErrorCode::Timeout,
        RegistryError::Unauthorised { .. } | RegistryError::Redirect { .. } => ErrorCode::Denied,
        RegistryError::NotFound { .. } => ErrorCode::NotFound,
        RegistryError::Index { .. } | RegistryError::MediaType { .. } => ErrorCode::Unsupported,
        RegistryError::TooLarge { .. } => ErrorCode::Limit,
        RegistryError::Tampered { .. } | RegistryError::Malformed { .. } => ErrorCode::Corrupt,
        RegistryError::Refused { status, .. } if *status >= 500 => ErrorCode::Unavailable,
        RegistryError::Refused { .. } => ErrorCode::Other,
    }
}

fn io_code(error: &io::Error) -> Option<ErrorCode> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(ErrorCode::NoSpace),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            Some(ErrorCode::Denied)
        }
        io::ErrorKind::NotFound => Some(ErrorCode::NotFound),
        io::ErrorKind::AlreadyExists => Some(ErrorCode::Exists),
        _ => None,
    }
}

fn code(error: &anyhow::Error) -> u8 {
    if error.is::<NotApproved>() || error.is::<NotInstalled>() {
        return NOT_APPROVED;
    }
    if error.is::<NotGranted>() {
        return NOT_GRANTED;
    }
    if let Some(failed) = error.downcast_ref::<ActivationFailed>() {
        return failed.code;
    }
    if let Some(ended) = error.downcast_ref::<RunEnded>() {
        return ended.code;
    }
    if error.is::<Distrust>() {
        return NOT_VERIFIED;
    }
    match error.downcast_ref::<RegistryError>() {
        Some(RegistryError::Unreachable { .. } | RegistryError::TimedOut { .. }) => {
            return UNREACHABLE;
        }
        Some(RegistryError::Unauthorised { .. }) => return NOT_AUTHORISED,
        Some(RegistryError::Tampered { .. }) => return NOT_VERIFIED,
        _ => {}
    }
    match error.downcast_ref::<ClientError>() {
        Some(
            ClientError::NobodyListens { .. }
            | ClientError::Authority { .. }
            | ClientError::Unreachable { .. }
            | ClientError::Interrupted { .. },
        ) => return UNREACHABLE,
        Some(ClientError::Problem(problem)) if [401, 403].contains(&problem.status) => {
            return NOT_AUTHORISED;
        }
        // Somebody may do this, and the plugin may not have what it wants.
        Some(ClientError::Problem(problem))
            if problem.status == 409 && problem.code == "denied" =>
        {
            return NOT_GRANTED;
        }
        _ => {}
    }
    if let Some(DiskError::Cancelled) = error.downcast_ref::<DiskError>() {
        return CANCELLED;
    }
    match error.downcast_ref::<MigrateError>() {
        Some(MigrateError::Blocked { .. } | MigrateError::NoOperatingSystem { .. }) => BLOCKED,
        Some(MigrateError::PlanOutdated { .. } | MigrateError::PlanNotReproduced { .. }) => {
            OUTDATED
        }
        Some(MigrateError::Cancelled) => CANCELLED,
        _ => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    fn answer(status: u16) -> anyhow::Error {
        let status = StatusCode::from_u16(status).unwrap();
        let sent = br#"{"type":"urn:x","title":"T","detail":"D","code":"denied"}"#;
        let error = ClientError::from(Problem::read(status, sent));
        anyhow::Error::new(error).context("cannot list")
    }

    #[test]
    fn each_error_has_its_code() {
        let unreachable = ClientError::Unreachable {
            host: "h".into(),
            reason: "r".into(),
        };
        let ended = RunEnded::new(WAITING, "w".into());
        let cases: [(anyhow::Error, u8); 11] = [
            (answer(409), NOT_GRANTED),
            (NotGranted("x".into()).into(), NOT_GRANTED),
            (NotInstalled("x".into()).into(), NOT_APPROVED),
            (answer(401), NOT_AUTHORISED),
            (answer(403), NOT_AUTHORISED),
            (answer(404), FAILED),
            (unreachable.into(), UNREACHABLE),
            (ended.into(), WAITING),
            (NotApproved.into(), NOT_APPROVED),
            (MigrateError::Cancelled.into(), CANCELLED),
            (anyhow::anyhow!("x"), FAILED),
        ];
        for (error, expected) in cases {
            assert_eq!(code(&error), expected, "{error:#}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_state_is_said_to_programs() {
        let path = || std::path::PathBuf::from("/state");
        let why = || "why".to_owned();
        let full = || StoreError::Full {
            path: path(),
            why: why(),
        };
        let folder = |kind: io::ErrorKind| OpenError::Folder {
            path: path(),
            error: kind.into(),
        };
        let cases: [(anyhow::Error, &str); 7] = [
            (OpenError::Store(full()).into(), "no-space"),
            (full().into(), "no-space"),
            (folder(io::ErrorKind::StorageFull).into(), "no-space"),
            (folder(io::ErrorKind::ReadOnlyFilesystem).into(), "denied"),
            (
                StoreError::ReadOnly {
                    path: path(),
                    why: why(),
                }
                .into(),
                "denied",
            ),
            (OpenError::InUse(path()).into(), "locked"),
            (anyhow::anyhow!("x"), "other"),
        ];
        for (error, expected) in cases {
            let value = problem(&error, code(&error));
            assert_eq!(value["code"], expected, "{error:#}");
        }
    }

    #[test]
    fn an_error_for_programs_keeps_what_the_server_said() {
        let value = problem(&answer(403), NOT_AUTHORISED);
        assert_eq!(
            value,
            json!({"title": "T", "status": 403, "detail": "D", "code": "denied",
                   "type": "urn:x", "exit_code": 11})
        );
        let value = problem(&anyhow::anyhow!("why").context("what"), FAILED);
        assert_eq!(
            value,
            json!({"title": "Command failed", "detail": "what", "code": "other",
                   "causes": ["why"], "exit_code": 1, "type": "about:blank"})
        );
    }
}
