//! The one error record of the contract, with a constructor for each code.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a fallible call of the contract gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One failure. A caller branches on `code`, never on the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Error {
    /// What kind it is.
    pub code: ErrorCode,
    /// What happened and why, in one sentence, without a trailing newline.
    pub message: String,
    /// What the user can do about it.
    pub hint: Option<String>,
    /// When trying again makes sense, in milliseconds from now.
    pub retry_after: Option<u32>,
}

/// Declares the codes in the contract's order, with their numbers and constructors.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident $constructor:ident $text:literal,)+) => {
        /// What kind of failure an [`Error`] is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[repr(u8)]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ErrorCode {
            const ALL: &[Self] = &[$(Self::$variant),+];

            /// The code as the contract spells it (`not-found`).
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            // The name that the generated bindings call.
            #[doc(hidden)]
            pub fn _lift(value: u8) -> Self {
                Self::ALL.get(usize::from(value)).copied().unwrap_or(Self::Other)
            }
        }

        impl Error {
            $($(#[doc = $doc])+
            pub fn $constructor(message: impl Into<String>) -> Self {
                Self::new(ErrorCode::$variant, message)
            })+
        }
    };
}

codes! {
    /// The thing named does not exist.
    NotFound not_found "not-found",
    /// The operator's grant, the guest's permissions or the contract forbid it.
    Denied denied "denied",
    /// An argument or the data given is malformed.
    Invalid invalid "invalid",
    /// The state of the thing does not allow it now (a directory that is not empty).
    Conflict conflict "conflict",
    /// Something outside is not reachable at the moment; trying again may help.
    Unavailable unavailable "unavailable",
    /// A time limit passed.
    Timeout timeout "timeout",
    /// The run was cancelled.
    Cancelled cancelled "cancelled",
    /// A limit of the host was reached.
    Limit limit "limit",
    /// A feature of the data that this code does not know.
    Unsupported unsupported "unsupported",
    /// No room is left on the device or in the quota.
    NoSpace no_space "no-space",
    /// The data contradicts itself.
    Corrupt corrupt "corrupt",
    /// The thing to be created is there already.
    Exists exists "exists",
    /// Someone else holds it, or it is encrypted and no key was given.
    Locked locked "locked",
    /// None of the others.
    Other other "other",
}

impl Error {
    /// An error without a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            retry_after: None,
        }
    }

    /// The same error with advice for the user.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error, its message preceded by what was being done.
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code.as_str())?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// Turns "it is not there" into none and leaves every other error.
pub trait OptionalExt<T> {
    /// `Ok(None)` for the code `not-found`.
    fn optional(self) -> Result<Option<T>>;
}

impl<T> OptionalExt<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.code == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_numbers_of_the_contract() {
        let wit = include_str!("../wit/types/types.wit");
        let body = wit.split("enum error-code {").nth(1).unwrap();
        let body = body.split('}').next().unwrap();
        let names: Vec<&str> = body
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("///") && !line.is_empty())
            .map(|line| line.trim_end_matches(','))
            .collect();
        assert_eq!(names.len(), ErrorCode::ALL.len());
        for (number, name) in names.iter().enumerate() {
            let code = ErrorCode::_lift(u8::try_from(number).unwrap());
            assert_eq!(code.as_str(), *name);
            assert_eq!(code as usize, number);
            assert_eq!(serde_json::to_value(code).unwrap(), **name);
        }
    }

    #[test]
    fn only_a_missing_thing_is_optional() {
        assert_eq!(Err::<u8, _>(Error::not_found("x")).optional(), Ok(None));
        assert_eq!(Ok(1).optional(), Ok(Some(1)));
        assert_eq!(
            Err::<u8, _>(Error::corrupt("x")).optional(),
            Err(Error::corrupt("x"))
        );
    }

    #[test]
    fn text_says_what_why_and_what_to_do() {
        let error = Error::locked("the disk is encrypted")
            .with_hint("give a key")
            .context("cannot mount /");
        assert_eq!(
            error.to_string(),
            "cannot mount /: the disk is encrypted (locked); give a key"
        );
    }
}
