//! One program that the operator grants to a plugin in `cofferdam.toml`, and its check at
//! load.
//!
//! ```toml
//! [plugins.boot-test.grants.tool.qemu]   # the name that the plugin uses
//! program = "qemu-system-x86_64"         # looked for on the operator's PATH, once
//! arguments = ["-m", "\\d+", "-drive", "file=\\{\\},format=(raw|qcow2),snapshot=on"]
//! environment = { LANG = "C", TMPDIR = "{work}" }
//! timeout = "15m"
//! ```

use super::pattern::Whole;
use super::quantity::{Size, TimeLimit};
use crate::grants::{GrantError, one_line};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The placeholder in an environment's values for the step's working folder.
pub const WORK: &str = "{work}";

/// `[plugins.ID.grants.tool.NAME]`: one program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ToolGrant {
    /// The program: a name on the operator's PATH, or an absolute path.
    pub program: String,
    /// Regular expressions (the syntax of Rust's regex crate); every argument must fully
    /// match one of them. Where an artifact's path goes, the text that is matched has `{}`.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// The whole environment; nothing is inherited. `{work}` in a value stands for the
    /// step's working folder.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// How long the program may run.
    #[serde(default = "defaults::timeout")]
    pub timeout: TimeLimit,
    /// How much it may write to its output; more stops it.
    #[serde(default = "defaults::output")]
    pub output: Size,
    /// How much private writable memory each of its processes may have (RLIMIT_DATA).
    #[serde(default = "defaults::memory")]
    pub memory: Size,
    /// The longest file it may write (RLIMIT_FSIZE).
    #[serde(default = "defaults::file_size")]
    pub file_size: Size,
    /// How many files it may have open (RLIMIT_NOFILE).
    #[serde(default = "defaults::open_files")]
    pub open_files: u32,
    /// Whether it may use the network.
    #[serde(default)]
    pub network: bool,
}

/// What a grant allows where it says nothing.
mod defaults {
    use super::{Duration, Size, TimeLimit};

    pub fn timeout() -> TimeLimit {
        TimeLimit(Duration::from_secs(15 * 60))
    }
    pub fn output() -> Size {
        Size(16 << 20)
    }
    pub fn memory() -> Size {
        Size(2 << 30)
    }
    pub fn file_size() -> Size {
        Size(64 << 30)
    }
    pub fn open_files() -> u32 {
        1024
    }
}

/// `grants.tool.NAME` of a step that is not trusted: how it narrows the operator's grant of
/// that program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct NarrowedTool {
    /// Regular expressions; every argument must fully match one of these and one of the
    /// operator's. Without them the operator's alone count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Vec<String>>,
    /// How long the program may run, where that is shorter than the operator's limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<TimeLimit>,
    /// False takes the network away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<bool>,
}

impl NarrowedTool {
    /// Its patterns, compiled.
    ///
    /// # Errors
    /// The first that is none, for people.
    pub(crate) fn patterns(&self) -> Result<Option<Vec<Whole>>, String> {
        let Some(patterns) = &self.arguments else {
            return Ok(None);
        };
        let compiled = patterns.iter().map(|pattern| {
            Whole::new(pattern)
                .map_err(|error| format!("`{pattern}` is not a pattern: {}", one_line(&error)))
        });
        compiled.collect::<Result<_, _>>().map(Some)
    }
}

/// One program that a plugin may run, checked.
#[derive(Debug, Clone)]
pub struct GrantedTool {
    /// The program's absolute path.
    pub program: PathBuf,
    /// What the operator wrote; limits that a step narrowed are the narrower ones.
    pub grant: ToolGrant,
    arguments: Vec<Whole>,
    /// What the step allows of them.
    narrowed: Option<Vec<Whole>>,
}

/// Whose grant denies an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denier {
    /// That of the configuration.
    Operator,
    /// That of a step which narrows the configuration's.
    Step,
}

impl GrantedTool {
    /// Whether some pattern matches the whole argument, and where a step narrowed the grant
    /// one of the step's too.
    pub fn allows(&self, argument: &str) -> bool {
        self.denied_by(argument).is_none()
    }

    /// Whose patterns do not match an argument; the operator's, where it is both's.
    pub(crate) fn denied_by(&self, argument: &str) -> Option<Denier> {
        let among = |patterns: &[Whole]| patterns.iter().any(|pattern| pattern.matches(argument));
        if !among(&self.arguments) {
            return Some(Denier::Operator);
        }
        let is_narrowed_away = !self.narrowed.as_deref().is_none_or(among);
        is_narrowed_away.then_some(Denier::Step)
    }

    /// The same program as far as a step allows it.
    ///
    /// # Errors
    /// What is wrong with the step's patterns, for people.
    pub fn narrowed(&self, by: &NarrowedTool) -> Result<Self, String> {
        let mut narrowed = self.clone();
        narrowed.narrowed = by.patterns()?;
        if let Some(timeout) = by.timeout {
            narrowed.grant.timeout = TimeLimit(timeout.0.min(self.grant.timeout.0));
        }
        if by.network == Some(true) && !self.grant.network {
            return Err("`network` is true, and the operator did not grant it".to_owned());
        }
        narrowed.grant.network = by.network.unwrap_or(self.grant.network);
        Ok(narrowed)
    }
}

/// Whether `name` can be an operation's or a program's name (`wit/tool`).
pub fn is_name(name: &str) -> bool {
    let first = name.bytes().next();
    name.len() <= 64
        && first.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte)
        })
}

/// Checks the grant of one program; it is looked for in the folders of `path`.
pub(crate) fn check_tool(
    plugin: &str,
    tool: &str,
    grant: &ToolGrant,
    path: &OsStr,
) -> Result<GrantedTool, GrantError> {
    let (plugin, tool) = (plugin.to_owned(), tool.to_owned());
    if !is_name(&tool) {
        return Err(GrantError::Name { plugin, tool });
    }
    let impossible = |(name, value): &(&String, &String)| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    if let Some((variable, _)) = grant.environment.iter().find(impossible) {
        let variable = variable.clone();
        return Err(GrantError::Variable {
            plugin,
            tool,
            variable,
        });
    }
    let too_little = [
        (
            grant.output.0 == 0,
            "`output` allows nothing; write at least 1KiB",
        ),
        (
            grant.memory.0 < 1 << 20,
            "`memory` is too little for any program; write at least 1MiB",
        ),
        (
            grant.open_files < 16,
            "`open-files` is too few for any program; write at least 16",
        ),
    ];
    if let Some((_, reason)) = too_little.into_iter().find(|(wrong, _)| *wrong) {
        let reason = reason.to_owned();
        return Err(GrantError::Limit {
            plugin,
            tool,
            reason,
        });
    }
    let arguments = grant
        .arguments
        .iter()
        .map(|pattern| {
            Whole::new(pattern).map_err(|error| GrantError::Pattern {
                plugin: plugin.clone(),
                place: format!("tool.{tool}"),
                pattern: pattern.clone(),
                reason: one_line(&error),
            })
        })
        .collect::<Result<_, _>>()?;
    match find_program(&grant.program, path) {
        Ok(program) => Ok(GrantedTool {
            program,
            grant: grant.clone(),
            arguments,
            narrowed: None,
        }),
        Err(reason) => Err(GrantError::Program {
            plugin,
            tool,
            program: grant.program.clone(),
            reason,
        }),
    }
}

fn find_program(program: &str, path: &OsStr) -> Result<PathBuf, String> {
    if program.starts_with('/') {
        let program = PathBuf::from(program);
        return match is_executable(&program) {
            true => Ok(program),
            false => Err("is no executable file; install it or correct the path".to_owned()),
        };
    }
    if program.is_empty() || program.contains('/') {
        return Err(
            "is neither a name on the PATH nor an absolute path; write one of them".to_owned(),
        );
    }
    std::env::split_paths(path)
        // A relative folder would mean another program in another working folder.
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|candidate| is_executable(candidate))
        .ok_or_else(|| {
            format!(
                "is in no folder of the PATH ({}); install it, or write its absolute path",
                path.to_string_lossy()
            )
        })
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let long = "a".repeat(65);
        let cases = [
            ("qemu", true),
            ("9p.x-y_z", true),
            ("", false),
            (".a", false),
            ("-a", false),
            ("A", false),
            ("a/b", false),
            ("é", false),
            (long.as_str(), false),
        ];
        for (name, expected) in cases {
            assert_eq!(is_name(name), expected, "{name}");
        }
    }
}
