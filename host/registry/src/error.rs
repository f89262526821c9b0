//! What can go wrong with a registry.

use crate::Digest;

/// Why something did not come from a registry, or did not get there. Nothing was kept of it.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// What was written names nothing.
    #[error("{text:?} is no reference to an artifact: {reason}")]
    Reference {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The settings cannot be used.
    #[error("{0}")]
    Settings(String),
    /// Nobody answers, or the answer broke off.
    #[error("the registry {registry} cannot be reached: {reason}")]
    Unreachable {
        /// Host and port.
        registry: String,
        /// What the network said.
        reason: String,
    },
    /// The answer takes too long.
    #[error(
        "the registry {registry} did not answer in full within {seconds} s; try again, or set registry.timeout-seconds higher"
    )]
    TimedOut {
        /// Host and port.
        registry: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The registry wants other credentials, or none of them may do this.
    #[error("the registry {registry} does not let {who} {what}; {hint}")]
    Unauthorised {
        /// Host and port.
        registry: String,
        /// As whom it was asked.
        who: String,
        /// What it was asked.
        what: String,
        /// What to do.
        hint: String,
    },
    /// It is not there.
    #[error("there is no {what} in the registry {registry}")]
    NotFound {
        /// Host and port.
        registry: String,
        /// What is not there.
        what: String,
    },
    /// A manifest for several platforms.
    #[error(
        "{what} is an index of manifests for several platforms, and a plugin is one component for all; name the manifest of the component by its digest"
    )]
    Index {
        /// What was asked for.
        what: String,
    },
    /// It is something else than a plugin.
    #[error("{what} has the media type {found:?}, not {expected}")]
    MediaType {
        /// Which part of which artifact.
        what: String,
        /// The media type that it has.
        found: String,
        /// What a plugin has.
        expected: &'static str,
    },
    /// It is longer than what is read.
    #[error("{what} is larger than {limit} bytes, which is all that is read of it")]
    TooLarge {
        /// What was read.
        what: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// It is not what its digest says.
    #[error(
        "{what} was changed on its way or in the registry: its digest has to be {expected}, and what came has {found}"
    )]
    Tampered {
        /// What was read.
        what: String,
        /// What it had to be.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// An answer that the protocol does not allow.
    #[error("{what} cannot be read: {reason}")]
    Malformed {
        /// What was read.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The registry points somewhere where it must not be followed to.
    #[error("the registry {registry} redirects to {to}, which is not followed: {reason}")]
    Redirect {
        /// Host and port.
        registry: String,
        /// Where to.
        to: String,
        /// Why not.
        reason: &'static str,
    },
    /// It said no for a reason of its own.
    #[error("the registry {registry} refuses to {what} (HTTP {status}){message}")]
    Refused {
        /// Host and port.
        registry: String,
        /// What it was asked.
        what: String,
        /// The HTTP status.
        status: u16,
        /// Its reason, after a colon; may be empty.
        message: String,
    },
}
