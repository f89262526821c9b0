//! What is wrong with a grant.

use thiserror::Error as ThisError;

/// A grant that cannot be used. The message says where it stands and what to write.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum GrantError {
    /// A name that no plugin can use.
    #[error(
        "[plugins.{plugin}.grants.tool.{tool}]: `{tool}` cannot name a program, because requests name them with 1 to 64 characters out of a-z, 0-9, `-`, `_` and `.`, the first a letter or a digit; rename the table"
    )]
    Name {
        /// The plugin's id.
        plugin: String,
        /// The name that was given.
        tool: String,
    },
    /// The program is not there or cannot be executed.
    #[error("[plugins.{plugin}.grants.tool.{tool}]: program `{program}` {reason}")]
    Program {
        /// The plugin's id.
        plugin: String,
        /// The grant's name.
        tool: String,
        /// What the operator wrote.
        program: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A pattern that is not one.
    #[error(
        "[plugins.{plugin}.grants.{place}]: `{pattern}` is not a pattern: {reason}; write a regular expression without look-around (in TOML, '...' keeps backslashes as they are)"
    )]
    Pattern {
        /// The plugin's id.
        plugin: String,
        /// Which key.
        place: String,
        /// What the operator wrote.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A variable that cannot be one.
    #[error(
        "[plugins.{plugin}.grants.tool.{tool}]: `{variable}` cannot be an environment variable, because its name is empty or has `=`, or it has a NUL character; correct it under `environment`"
    )]
    Variable {
        /// The plugin's id.
        plugin: String,
        /// The grant's name.
        tool: String,
        /// The variable's name.
        variable: String,
    },
    /// A limit with which nothing can run.
    #[error("[plugins.{plugin}.grants.tool.{tool}]: {reason}")]
    Limit {
        /// The plugin's id.
        plugin: String,
        /// The grant's name.
        tool: String,
        /// Which limit, and what to write.
        reason: String,
    },
    /// Secrets that cannot be granted so.
    #[error("[plugins.{plugin}.grants.secrets]: {reason}")]
    Secrets {
        /// The plugin's id.
        plugin: String,
        /// What is wrong, and what to write.
        reason: String,
    },
    /// Requests that cannot be granted so.
    #[error("[plugins.{plugin}.grants.http]: {reason}")]
    Http {
        /// The plugin's id.
        plugin: String,
        /// What is wrong, and what to write.
        reason: String,
    },
}

/// The regex crate draws its messages over several lines; the last says what is wrong.
pub(crate) fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error:").trim().to_owned()
}

/// What has to be done beside writing a grant.
pub(crate) const READ_AT_START: &str =
    "; a running host reads it only when it starts: restart it then";

/// A text as TOML writes it, in one line; YAML reads it alike.
pub(crate) fn quoted(text: &str) -> String {
    if !text.contains(|c: char| c == '\'' || c.is_control()) {
        return format!("'{text}'");
    }
    // JSON's escapes are TOML's, but JSON needs none for DEL.
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_read_as_it_was() {
        for (text, expected) in [
            ("-m", "'-m'"),
            ("a\\.b\"", "'a\\.b\"'"),
            ("it's", "\"it's\""),
            ("'\"\\.", "\"'\\\"\\\\.\""),
            ("a\nb\t", "\"a\\nb\\t\""),
            ("\u{1b}\u{7f}\u{9b}", "\"\\u001b\\u007f\u{9b}\""),
        ] {
            let quoted = quoted(text);
            assert_eq!(quoted, expected);
            let read: toml::Table = toml::from_str(&format!("x = [{quoted}]")).unwrap();
            assert_eq!(read["x"][0].as_str(), Some(text));
        }
    }
}
