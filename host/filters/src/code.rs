//! The contract's error codes as configurations and log lines write them.

use cofferdam_contract::types::ErrorCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// An error code of the contract.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(rename_all = "kebab-case")]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// As it is written.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }

        impl From<Code> for ErrorCode {
            fn from(code: Code) -> Self {
                match code {
                    $(Code::$name => Self::$name,)*
                }
            }
        }

        impl From<ErrorCode> for Code {
            fn from(code: ErrorCode) -> Self {
                match code {
                    $(ErrorCode::$name => Self::$name,)*
                }
            }
        }
    };
}

codes! {
    /// The thing named does not exist.
    NotFound = "not-found",
    /// It is forbidden.
    Denied = "denied",
    /// An argument or the data is malformed.
    Invalid = "invalid",
    /// The state of the thing does not allow it now.
    Conflict = "conflict",
    /// Something outside is not reachable; trying again may help.
    #[default]
    Unavailable = "unavailable",
    /// A time limit passed.
    Timeout = "timeout",
    /// The run was cancelled.
    Cancelled = "cancelled",
    /// A limit was reached.
    Limit = "limit",
    /// A feature that is not known.
    Unsupported = "unsupported",
    /// No room is left.
    NoSpace = "no-space",
    /// The data contradicts itself.
    Corrupt = "corrupt",
    /// It is there already.
    Exists = "exists",
    /// Someone else holds it.
    Locked = "locked",
    /// None of the above.
    Other = "other",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_what_is_read() {
        for (text, code) in [
            ("not-found", ErrorCode::NotFound),
            ("no-space", ErrorCode::NoSpace),
            ("other", ErrorCode::Other),
        ] {
            let read: Code = serde_json::from_value(text.into()).unwrap();
            assert_eq!(ErrorCode::from(read), code);
            assert_eq!(Code::from(code).name(), text);
        }
    }
}
