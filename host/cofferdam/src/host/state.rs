//! Where the host's state is.

use crate::cli::Global;
use crate::config::Config;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The environment variable with the state folder.
const STATE_VARIABLE: &str = "COFFERDAM_STATE";

/// The state folder in force: that of the command line, else of the environment, else of the
/// configuration, else `cofferdam` in the user's folder for state (XDG Base Directory
/// Specification). Absolute; need not exist.
pub fn state_folder(global: &Global, config: &Config) -> Result<PathBuf> {
    let folder = choose(global, config, |name| std::env::var_os(name))?;
    std::path::absolute(&folder)
        .with_context(|| format!("the state folder {} cannot be used", folder.display()))
}

fn choose(
    global: &Global,
    config: &Config,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let named = global
        .state
        .clone()
        .or_else(|| set(STATE_VARIABLE).map(PathBuf::from))
        .or_else(|| config.state.clone());
    if let Some(folder) = named {
        return Ok(folder);
    }
    let base = set("XDG_STATE_HOME")
        .map(PathBuf::from)
        // Relative ones are to be ignored, says the specification.
        .filter(|folder| folder.is_absolute())
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".local/state")));
    match base {
        Some(base) => Ok(base.join("cofferdam")),
        None => bail!(
            "there is no place for the host's state: neither --state, COFFERDAM_STATE nor HOME is set; name a folder with --state"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_wish_wins() {
        let all = [
            (STATE_VARIABLE, "/env"),
            ("XDG_STATE_HOME", "/xdg"),
            ("HOME", "/home/u"),
        ];
        // Flag, configuration, which of the variables are there, and what follows.
        type Case<'a> = (Option<&'a str>, Option<&'a str>, &'a [usize], &'a str);
        let cases: [Case; 6] = [
            (Some("/flag"), Some("/file"), &[0, 1, 2], "/flag"),
            (None, Some("/file"), &[0, 1, 2], "/env"),
            (None, Some("/file"), &[1, 2], "/file"),
            (None, None, &[1, 2], "/xdg/cofferdam"),
            (None, None, &[2], "/home/u/.local/state/cofferdam"),
            (Some("relative"), None, &[], "relative"),
        ];
        for (flag, file, variables, expected) in cases {
            let global = Global {
                state: flag.map(PathBuf::from),
                ..Global::default()
            };
            let config = Config {
                state: file.map(PathBuf::from),
                ..Config::default()
            };
            let variable = |name: &str| {
                variables
                    .iter()
                    .map(|index| all[*index])
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| OsString::from(value))
            };
            let chosen = choose(&global, &config, variable).unwrap();
            assert_eq!(chosen, Path::new(expected));
        }
        assert!(choose(&Global::default(), &Config::default(), |_| None).is_err());
    }
}
