//! What stands behind a component's imports: the doubles of the Rust SDK.

pub(crate) mod context;
pub(crate) mod device;
pub(crate) mod guest;
pub(crate) mod source;
pub(crate) mod step;
pub(crate) mod trees;

use cofferdam_contract::types::{Error, ErrorCode};

/// What every service says of a thing that cannot be read.
pub(crate) fn unreadable() -> Error {
    Error::new(ErrorCode::Corrupt, "it cannot be read: the disk is damaged")
}
