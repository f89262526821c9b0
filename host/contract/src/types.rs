//! The contract's records under short names. What each field means is said in `wit/`.

pub use crate::bindings::cofferdam::disk::devices::{DeviceInfo, Extent, ExtentKind};
pub use crate::bindings::cofferdam::disk::source_folder::File as SourceFile;
pub use crate::bindings::cofferdam::guest::block_devices::BlockDevice;
pub use crate::bindings::cofferdam::guest::facts::{Nic, TargetMachine};
pub use crate::bindings::cofferdam::guest::found::{Kernel, MountPoint, OperatingSystem};
pub use crate::bindings::cofferdam::guest::trees::Tree;
pub use crate::bindings::cofferdam::runtime::context::Level;
pub use crate::bindings::cofferdam::tool::tool::{
    Argument as ToolArgument, ArtifactArgument, Outcome as ToolOutcome, Request as ToolRequest,
};
pub use crate::bindings::cofferdam::types::errors::{Error, ErrorCode, Severity};
pub use crate::bindings::cofferdam::types::files::{
    Attributes, Entry, FileKind, Metadata, Page, Space, Timestamp,
};
pub use crate::bindings::exports::cofferdam::plugin::file_tree::{Identity, MountReport};
pub use crate::bindings::exports::cofferdam::plugin::step::{PlannedChange, StepPlan};

impl Error {
    /// An error of `code` that says `message`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            retry_after: None,
        }
    }

    /// The same error with what the user can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// `not-found`: the thing named does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    /// `invalid`: an argument is malformed.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, message)
    }
}
