//! Which host a command talks to.
//!
//! A server where one is named; else the host that holds the state folder, through its
//! socket; else this process becomes the host for as long as the command takes. Two
//! commands may race for the folder, and a host may just be leaving: whoever finds the
//! folder held and nobody at the socket looks again for a while.

use super::Client;
use super::transport::{ServerOptions, Transport};
use crate::cli::{Global, Output};
use crate::config::Config;
use crate::host::embedded::{Embedded, Opening};
use crate::render::{json, sayln};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The environment variable with the server's address.
const SERVER_VARIABLE: &str = "COFFERDAM_SERVER";
/// The environment variable with the token.
const TOKEN_VARIABLE: &str = "COFFERDAM_TOKEN";
/// How often a held folder is looked at again, and how long between.
const LOOKS: u32 = 50;
const BETWEEN: Duration = Duration::from_millis(100);

/// Whether a host in this process carries on runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// It only answers.
    Idle,
    /// It carries on every run that is unfinished.
    Working,
}

/// A command's connection to its host.
pub struct Session {
    /// Asks the host.
    pub client: Client,
    /// The project that the command is about.
    pub project: String,
    /// How results are printed.
    pub output: Output,
    named_project: Option<String>,
    embedded: Option<Embedded>,
}

impl Session {
    /// Opens a session, does the work and closes the session, whatever came of the work.
    pub async fn with<T>(
        global: &Global,
        engine: Engine,
        work: impl AsyncFnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        let session = Self::open(global, engine).await?;
        let result = work(&session).await;
        if let Some(embedded) = session.embedded {
            embedded.close().await;
        }
        result
    }

    async fn open(global: &Global, engine: Engine) -> Result<Self> {
        let config = Config::read(global.config.as_deref())?;
        let named_project = global.project.clone().or_else(|| config.project.clone());
        let (client, embedded) = match server(global, &config)? {
            Some(options) => (Client::new(Transport::server(&options)?), None),
            None => local(global, &config, engine).await?,
        };
        Ok(Self {
            client,
            project: named_project
                .clone()
                .unwrap_or_else(|| "default".to_owned()),
            output: global.output,
            named_project,
            embedded,
        })
    }

    /// The project, if one was named: lists show all otherwise.
    pub fn named_project(&self) -> Option<&str> {
        self.named_project.as_deref()
    }

    /// Prints the answer of a change for programs, or what was done for people.
    pub fn done(&self, answer: &Value, said: &str) -> Result<ExitCode> {
        match self.output {
            // What was taken away has no answer.
            Output::Json if answer.is_null() => json(&serde_json::json!({"done": said}))?,
            Output::Json => json(answer)?,
            Output::Text => sayln!("{}", crate::render::safe(said)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The server that was named: on the command line, else in the environment, else in the
/// configuration. A state folder on the command line means: not a server.
fn server(global: &Global, config: &Config) -> Result<Option<ServerOptions>> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let url = match (&global.server, &global.state) {
        (Some(_), Some(_)) => {
            bail!("--server and --state name two different hosts; leave one out")
        }
        (Some(url), None) => url.clone(),
        (None, Some(_)) => return Ok(None),
        (None, None) => match variable(SERVER_VARIABLE).or_else(|| config.client.server.clone()) {
            Some(url) => url,
            None => return Ok(None),
        },
    };
    let token = match &global.token_file {
        Some(file) => Some(read_token(file)?),
        None => match (variable(TOKEN_VARIABLE), &config.client.token_file) {
            (Some(token), _) => Some(token),
            (None, Some(file)) => Some(read_token(file)?),
            (None, None) => None,
        },
    };
    let ca = global.ca.as_ref().or(config.client.ca.as_ref());
    let ca = ca
        .map(|file| {
            std::fs::read(file)
                .with_context(|| format!("cannot read the certificates {}", file.display()))
        })
        .transpose()?;
    Ok(Some(ServerOptions { url, token, ca }))
}

fn read_token(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the token file {}", file.display()))?;
    Ok(text.trim().to_owned())
}

async fn local(
    global: &Global,
    config: &Config,
    engine: Engine,
) -> Result<(Client, Option<Embedded>)> {
    let mut looked = 0;
    loop {
        match Embedded::open(global, config, engine).await? {
            Opening::Host(embedded) => {
                let client = Client::new(Transport::InProcess(embedded.router()));
                return Ok((client, Some(*embedded)));
            }
            Opening::Held { socket } => {
                if tokio::net::UnixStream::connect(&socket).await.is_ok() {
                    return Ok((Client::new(Transport::socket(&socket)?), None));
                }
                looked += 1;
                if looked == LOOKS {
                    bail!(
                        "another host holds the state folder and does not answer at {}; is it hanging? `cofferdam doctor` looks",
                        socket.display()
                    );
                }
                tokio::time::sleep(BETWEEN).await;
            }
        }
    }
}
