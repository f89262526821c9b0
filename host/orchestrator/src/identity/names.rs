//! What users and projects may be called.

use super::{EVERY_PROJECT, IdentityError};

/// The longest name, bytes.
const LONGEST: usize = 64;

fn is_name(text: &str, others: &[u8]) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(allowed)
        && text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
}

/// Refuses what cannot be a user's name: 1 to 64 ASCII letters, digits, `.`, `_`, `-`, `@`
/// or `+`, beginning with a letter or digit, so that an address of e-mail is one.
///
/// # Errors
/// [`IdentityError::Invalid`].
pub fn user_name(text: &str) -> Result<(), IdentityError> {
    if is_name(text, b"._-@+") {
        return Ok(());
    }
    Err(IdentityError::invalid(
        "user",
        "a name has 1 to 64 letters, digits, dots, dashes, underscores, @ or +, and begins with a letter or digit",
    ))
}

/// Refuses what cannot be a project's name: 1 to 64 ASCII letters, digits, `.`, `_` or `-`,
/// beginning with a letter or digit.
///
/// # Errors
/// [`IdentityError::Invalid`].
pub fn project_name(text: &str) -> Result<(), IdentityError> {
    if is_name(text, b"._-") {
        return Ok(());
    }
    Err(IdentityError::invalid(
        "project",
        "a name has 1 to 64 letters, digits, dots, dashes or underscores, and begins with a letter or digit",
    ))
}

/// Like [`project_name`], and [`EVERY_PROJECT`], which roles, grants, and what the host does
/// by itself are of.
///
/// # Errors
/// [`IdentityError::Invalid`].
pub fn project_or_every(text: &str) -> Result<(), IdentityError> {
    if text == EVERY_PROJECT {
        return Ok(());
    }
    project_name(text)
}

/// Refuses what is no remark: 1 to `most` bytes, not only blanks, without control characters.
pub(super) fn remark(what: &'static str, text: &str, most: usize) -> Result<(), IdentityError> {
    if !text.trim().is_empty() && text.len() <= most && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(IdentityError::invalid(
        what,
        format!("it has 1 to {most} bytes without control characters"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names() {
        for good in ["a", "7", "ada@example.org", "ci+nightly", "a.b-c_d"] {
            user_name(good).unwrap();
        }
        let long = "x".repeat(65);
        for bad in ["", "*", "-a", ".a", "@a", "a b", "a/b", "a\n", "ä", &long] {
            assert!(user_name(bad).is_err(), "{bad:?}");
            assert!(project_name(bad).is_err(), "{bad:?}");
        }
        assert!(project_name("a@b").is_err());
        project_name("web-1").unwrap();
        project_or_every("*").unwrap();
        assert!(project_or_every("**").is_err());
    }

    #[test]
    fn remarks_say_something() {
        remark("reason", "night shift, ticket 7", 500).unwrap();
        for bad in ["", "  ", "a\nb", "a\u{1b}[31m"] {
            assert!(remark("reason", bad, 500).is_err(), "{bad:?}");
        }
        assert!(remark("reason", "xxx", 2).is_err());
    }
}
