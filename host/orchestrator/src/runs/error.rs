//! Why something that was asked of runs was not done.

use super::expression::ExpressionError;
use super::nearest::did_you_mean_in;
use super::workflow::WorkflowError;
use super::workflow::input::InputError;
use crate::catalogue::CatalogueError;
use crate::identity::IdentityError;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::types::ErrorCode;
use cofferdam_store::StoreError;
use std::path::PathBuf;

/// Why something that was asked of runs was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The workflow file is wrong.
    #[error("{0}")]
    Workflow(#[from] WorkflowError),
    /// The inputs do not fit the workflow.
    #[error("the inputs cannot be taken: {0}")]
    Inputs(#[from] InputError),
    /// There is no workflow of that name.
    #[error(
        "there is no workflow `{name}`{hint}; `workflows` lists them, and a file is given by its path"
    )]
    NoWorkflow {
        /// The name.
        name: String,
        /// The nearest name, with a space before it; may be empty.
        hint: String,
    },
    /// A workflow under this name is part of the program.
    #[error("the workflow `{0}` is part of the program and cannot be changed; choose another name")]
    BuiltInWorkflow(String),
    /// A file among the inputs cannot be used.
    #[error("the input `{input}` is no file that a run may use: {}: {reason}", path.display())]
    File {
        /// The input.
        input: String,
        /// The path given.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
        /// The contract's code.
        code: ErrorCode,
    },
    /// A step's plugin is not to be had.
    #[error("step `{step}`: {error}")]
    Plugin {
        /// The step.
        step: String,
        /// Why.
        error: CatalogueError,
    },
    /// What a step names in its `grants` cannot be given to it.
    #[error("step `{step}` has `trust: none`: {reason}")]
    Grants {
        /// The step.
        step: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A component could not be copied into the component store.
    #[error("the component of plugin `{plugin}` cannot be kept for the run: {reason}")]
    Component {
        /// The plugin.
        plugin: String,
        /// Why, and what to do.
        reason: String,
        /// The contract's code.
        code: ErrorCode,
    },
    /// A file of a run cannot be handed out.
    #[error("the file `{name}` of the run cannot be had: {reason}")]
    Artifact {
        /// The artifact.
        name: String,
        /// Why, and what to do.
        reason: String,
        /// The contract's code.
        code: ErrorCode,
    },
    /// A step's input cannot be made.
    #[error("`with` of step `{step}`: {error}")]
    Expression {
        /// The step.
        step: String,
        /// Why.
        error: ExpressionError,
    },
    /// A step does not accept its input.
    #[error("step `{step}` does not accept its input: {error}{}", did_you_mean_in(&error.to_string()))]
    Step {
        /// The step.
        step: String,
        /// What it said.
        error: Box<CallError>,
    },
    /// The actor may not.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host is shutting down.
    #[error("the host is shutting down; ask again when it is back")]
    Leaving,
    /// The host itself failed.
    #[error("the host failed: {0}")]
    Host(String),
}

impl RunError {
    /// The contract's code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Workflow(_) | Self::Inputs(_) | Self::Expression { .. } => ErrorCode::Invalid,
            Self::Grants { .. } => ErrorCode::Denied,
            Self::NoWorkflow { .. } => ErrorCode::NotFound,
            Self::BuiltInWorkflow(_) => ErrorCode::Conflict,
            Self::File { code, .. }
            | Self::Component { code, .. }
            | Self::Artifact { code, .. } => *code,
            Self::Plugin { error, .. } => match error.code() {
                // The workflow is what is wrong, not the address of the request.
                ErrorCode::NotFound => ErrorCode::Invalid,
                code => code,
            },
            Self::Step { error, .. } => error.code(),
            Self::Identity(error) => error.code(),
            Self::Store(error) => crate::identity::store_code(error),
            Self::Leaving => ErrorCode::Unavailable,
            Self::Host(_) => ErrorCode::Other,
        }
    }
}
