//! The languages that plugins are written in: what each module of them has to say.

use super::{c, contract, rust, tools};
use crate::commands::plugin_new::ProjectFile;
use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use cofferdam_contract::kinds::Kind;
use cofferdam_contract::manifest::Build;
use cofferdam_orchestrator::runs::nearest::did_you_mean;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Every language, in the order in which people are told of them.
const ALL: [&dyn Language; 2] = [&rust::Rust, &c::C];

/// A way of building plugins.
#[async_trait]
pub trait Builder: Sync {
    /// What a build needs that this machine does not have. Quick, and without effect.
    async fn missing(&self, job: &Job<'_>) -> Result<Vec<Missing>>;

    /// Builds: the bytes of a component, whose manifest is put in or replaced afterwards.
    /// Called where nothing is missing.
    async fn build(&self, job: &Job<'_>) -> Result<Vec<u8>>;
}

/// One language.
pub trait Language: Builder {
    /// Its name in `[build] language` and `plugin new --lang`.
    fn name(&self) -> &'static str;

    /// What a new project has beside its template's files: the SDK, as
    /// [`vendored`](crate::commands::plugin_new::vendored) gives it, and what the language
    /// needs to find it.
    fn project(&self) -> Result<Vec<ProjectFile>>;

    /// The command that runs a project's unit tests.
    fn unit_tests(&self) -> &'static str;
}

/// One thing that is missing.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing {
    /// What, in a few words.
    pub what: String,
    /// The command that installs it, or what else to do.
    pub install: String,
}

impl Missing {
    /// This, and how to get it.
    pub fn new(what: impl Into<String>, install: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            install: install.into(),
        }
    }
}

/// One build.
pub struct Job<'a> {
    /// The plugin's folder.
    pub folder: &'a Path,
    /// The `[build]` table; empty where there is none.
    pub build: &'a Build,
    /// A folder for temporary files, removed after the build.
    pub scratch: &'a Path,
}

impl Job<'_> {
    /// Lays out the contract: a folder with one folder a package.
    pub fn contract(&self) -> Result<PathBuf> {
        contract::lay_out(self.scratch)
    }

    /// The world that the component is to export.
    pub fn world(&self) -> Result<Kind> {
        self.build
            .world
            .context("[build] of plugin.toml says no `world`, such as `world = \"fixer\"`")
    }

    /// Runs a tool in the plugin's folder to its end; what it says goes to standard error.
    /// Fails where it does.
    pub async fn run(&self, command: &mut Command) -> Result<()> {
        tools::run(command.current_dir(self.folder)).await
    }

    /// The first line that a program prints when it is asked with these arguments in the
    /// plugin's folder; none where there is no such program or it fails.
    pub async fn ask(&self, program: &str, arguments: &[&str]) -> Option<String> {
        tools::ask(
            Command::new(program)
                .args(arguments)
                .current_dir(self.folder),
        )
        .await
    }
}

/// The names of all languages.
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|language| language.name()).collect()
}

/// The language of this name.
pub fn find(name: &str) -> Result<&'static dyn Language> {
    let found = ALL.into_iter().find(|language| language.name() == name);
    let Some(language) = found else {
        bail!(
            "there is no language {name:?}{}; known are {}",
            did_you_mean(name, names()),
            names().join(", ")
        );
    };
    Ok(language)
}
