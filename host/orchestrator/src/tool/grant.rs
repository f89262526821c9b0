//! What the operator grants to a plugin in `cofferdam.toml`, and its check at load.
//!
//! ```toml
//! [plugins.boot-test.grants.tool.qemu]   # the name that the plugin uses
//! program = "qemu-system-x86_64"         # looked for on the operator's PATH, once
//! arguments = ["-m", "\\d+", "-drive", "file=\\{\\},format=(raw|qcow2),snapshot=on"]
//! environment = { LANG = "C", TMPDIR = "{work}" }
//! timeout = "15m"
//!
//! [plugins.deploy.grants.secrets]
//! names = ["db-*"]
//! ```

use super::pattern::Whole;
use super::quantity::{Size, TimeLimit};
use cofferdam_contract::types::{Error, ErrorCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error as ThisError;

/// The placeholder in an environment's values for the step's working folder.
pub const WORK: &str = "{work}";

/// `[plugins.ID.grants]`: what one plugin may do beside what its kind always may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PluginGrants {
    /// Programs, by the name that the plugin uses.
    pub tool: BTreeMap<String, ToolGrant>,
    /// Secrets of the project.
    pub secrets: Option<SecretsGrant>,
}

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

/// `[plugins.ID.grants.secrets]`: which secrets of the project a plugin may read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SecretsGrant {
    /// Names of secrets; `*` stands for any characters.
    pub names: Vec<String>,
}

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
}

/// One program that a plugin may run, checked.
#[derive(Debug, Clone)]
pub struct GrantedTool {
    /// The program's absolute path.
    pub program: PathBuf,
    /// What the operator wrote.
    pub grant: ToolGrant,
    arguments: Vec<Whole>,
}

impl GrantedTool {
    /// Whether some pattern matches the whole argument.
    pub fn allows(&self, argument: &str) -> bool {
        self.arguments
            .iter()
            .any(|pattern| pattern.matches(argument))
    }
}

/// What one plugin was granted, checked.
#[derive(Debug, Clone, Default)]
pub struct Granted {
    plugin: String,
    tools: BTreeMap<String, GrantedTool>,
    secrets: Vec<Whole>,
}

impl Granted {
    /// Checks the grants of `plugin`; programs are looked for in the folders of `path`.
    pub fn check(plugin: &str, grants: &PluginGrants, path: &OsStr) -> Result<Self, GrantError> {
        let mut tools = BTreeMap::new();
        for (name, grant) in &grants.tool {
            tools.insert(name.clone(), check_tool(plugin, name, grant, path)?);
        }
        let names = grants.secrets.iter().flat_map(|grant| &grant.names);
        let secrets = names
            .map(|name| {
                Whole::glob(name).map_err(|error| GrantError::Pattern {
                    plugin: plugin.to_owned(),
                    place: "secrets".to_owned(),
                    pattern: name.clone(),
                    reason: one_line(&error),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            plugin: plugin.to_owned(),
            tools,
            secrets,
        })
    }

    /// Nothing granted.
    pub fn nothing(plugin: &str) -> Self {
        Self {
            plugin: plugin.to_owned(),
            ..Self::default()
        }
    }

    /// The granted programs by their names.
    pub fn tools(&self) -> &BTreeMap<String, GrantedTool> {
        &self.tools
    }

    /// The program called `name`, or `denied` with what the operator would have to write.
    pub fn tool(&self, name: &str) -> Result<&GrantedTool, Error> {
        self.tools.get(name).ok_or_else(|| {
            Error::new(
                ErrorCode::Denied,
                format!("the plugin {} was not granted a program `{name}`", self.plugin),
            )
            .with_hint(format!(
                "the operator grants it in cofferdam.toml: [plugins.{}.grants.tool.{name}] with `program` and `arguments`",
                self.plugin
            ))
        })
    }

    /// Whether the plugin may read the secret called `name`, or `denied` with what the
    /// operator would have to write. It says nothing of whether the secret exists.
    pub fn secret(&self, name: &str) -> Result<(), Error> {
        if self.secrets.iter().any(|pattern| pattern.matches(name)) {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::Denied,
            format!("the plugin {} was not granted the secret `{name}`", self.plugin),
        )
        .with_hint(format!(
            "the operator grants it in cofferdam.toml: [plugins.{}.grants.secrets] with `names = [\"{name}\"]`",
            self.plugin
        )))
    }

    /// The plugin's id.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }
}

/// The grants of every plugin, checked once when the host starts.
#[derive(Debug, Clone, Default)]
pub struct Grants(BTreeMap<String, Arc<Granted>>);

impl Grants {
    /// Checks the grants by plugin id; programs are looked for in the folders of `path`
    /// (the operator's PATH).
    pub fn check<'a>(
        grants: impl IntoIterator<Item = (&'a str, &'a PluginGrants)>,
        path: &OsStr,
    ) -> Result<Self, GrantError> {
        grants
            .into_iter()
            .map(|(plugin, grants)| {
                let granted = Granted::check(plugin, grants, path)?;
                Ok((plugin.to_owned(), Arc::new(granted)))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// What `plugin` was granted, which may be nothing.
    pub fn of(&self, plugin: &str) -> Arc<Granted> {
        match self.0.get(plugin) {
            Some(granted) => Arc::clone(granted),
            None => Arc::new(Granted::nothing(plugin)),
        }
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

fn check_tool(
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

/// The regex crate draws its messages over several lines; the last says what is wrong.
fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error:").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PluginGrants, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    fn check(text: &str) -> Result<Granted, GrantError> {
        Granted::check(
            "p",
            &read(text).unwrap(),
            OsStr::new("relative:/usr/bin:/bin"),
        )
    }

    #[test]
    fn a_grant_is_read_with_its_defaults() {
        let granted = check("[tool.sh]\nprogram = 'sh'\narguments = ['-c', '\\d+']").unwrap();
        let tool = granted.tool("sh").unwrap();
        assert!(tool.program.is_absolute() && tool.program.ends_with("sh"));
        assert_eq!(tool.grant.timeout.0, Duration::from_secs(900));
        assert_eq!(tool.grant.output, Size(16 << 20));
        assert!(!tool.grant.network && tool.grant.environment.is_empty());
        let cases = [
            ("-c", true),
            ("12", true),
            ("-c ", false),
            ("", false),
            ("1a", false),
        ];
        for (argument, expected) in cases {
            assert_eq!(tool.allows(argument), expected, "{argument}");
        }
    }

    #[test]
    fn without_patterns_no_argument_is_allowed() {
        let granted = check("[tool.sh]\nprogram = 'sh'").unwrap();
        assert!(!granted.tool("sh").unwrap().allows(""));
    }

    #[test]
    fn unknown_keys_are_refused() {
        for text in [
            "[tool.sh]\nprogram = 'sh'\nargs = []",
            "[tool.sh]\nprogram = 'sh'\nfile_size = '1B'",
            "[secrets]\nnames = []\nall = true",
            "[tools.sh]\nprogram = 'sh'",
            "[tool.sh]\narguments = []",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_way_out() {
        let cases = [
            ("[tool.Sh]\nprogram = 'sh'", "rename the table"),
            ("[tool.sh]\nprogram = 'no-such-program'", "install it"),
            ("[tool.sh]\nprogram = '/no/such'", "correct the path"),
            ("[tool.sh]\nprogram = '/etc/passwd'", "no executable file"),
            ("[tool.sh]\nprogram = './sh'", "absolute path"),
            ("[tool.sh]\nprogram = ''", "absolute path"),
            (
                "[tool.sh]\nprogram = 'sh'\narguments = ['(']",
                "`(` is not a pattern: unclosed group",
            ),
            (
                "[tool.sh]\nprogram = 'sh'\nenvironment = { 'A=B' = 'c' }",
                "correct it under `environment`",
            ),
            ("[tool.sh]\nprogram = 'sh'\noutput = '0B'", "at least 1KiB"),
            (
                "[tool.sh]\nprogram = 'sh'\nmemory = '1KiB'",
                "at least 1MiB",
            ),
            ("[tool.sh]\nprogram = 'sh'\nopen-files = 3", "at least 16"),
        ];
        for (text, part) in cases {
            let error = check(text).unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains("[plugins.p.grants."),
                "{error}"
            );
        }
    }

    #[test]
    fn what_was_not_granted_is_denied_by_name() {
        let grants = read("[secrets]\nnames = ['db-*', 'one']").unwrap();
        let grants = Grants::check([("p", &grants)], OsStr::new("/bin")).unwrap();
        let granted = grants.of("p");
        for (name, allowed) in [
            ("db-main", true),
            ("one", true),
            ("two", false),
            ("xdb-", false),
        ] {
            assert_eq!(granted.secret(name).is_ok(), allowed, "{name}");
        }
        let other = grants.of("q").secret("one").unwrap_err();
        assert_eq!(other.code, ErrorCode::Denied);
        assert!(other.hint.unwrap().contains("[plugins.q.grants.secrets]"));
        let tool = granted.tool("qemu").unwrap_err();
        assert_eq!(tool.code, ErrorCode::Denied);
        assert!(tool.hint.unwrap().contains("[plugins.p.grants.tool.qemu]"));
    }

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
