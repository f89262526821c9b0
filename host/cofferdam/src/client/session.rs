//! Which host a command talks to.
//!
//! A server where one is named; else the host that holds the state folder, through its
//! socket; else this process becomes the host for as long as the command takes. A host
//! behind the socket may be another command, and leave when that is done: then the next one
//! is looked for, which may be this process.

use super::problem::ClientError;
use super::transport::{ServerOptions, Transport};
use super::{Client, Reopen};
use crate::cli::{Global, Output};
use crate::config::Config;
use crate::host::embedded::{Embedded, Opening};
use crate::render::{json, sayln};
use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use serde_json::Value;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::Mutex;

/// The environment variable with the server's address.
const SERVER_VARIABLE: &str = "COFFERDAM_SERVER";
/// The environment variable with the token.
const TOKEN_VARIABLE: &str = "COFFERDAM_TOKEN";

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
}

impl Session {
    /// Opens a session, does the work and closes the session, whatever came of the work.
    pub async fn with<T>(
        global: &Global,
        engine: Engine,
        work: impl AsyncFnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        let config = Config::read(global.config.as_deref())?;
        let named_project = global.project.clone().or_else(|| config.project.clone());
        let server = server(global, &config)?;
        let local = Arc::new(Local {
            global: global.clone(),
            config,
            engine,
            embedded: Mutex::default(),
        });
        let client = match server {
            Some(options) => Client::new(Transport::server(&options)?),
            None => Client::reopening(local.open().await?, Arc::clone(&local) as _),
        };
        let session = Self {
            client,
            project: named_project
                .clone()
                .unwrap_or_else(|| "default".to_owned()),
            output: global.output,
            named_project,
        };
        let result = work(&session).await;
        drop(session);
        let embedded = local.embedded.lock().await.take();
        if let Some(embedded) = embedded {
            embedded.close().await;
        }
        result
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
pub fn server(global: &Global, config: &Config) -> Result<Option<ServerOptions>> {
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

/// The host of the state folder, whoever it is at the moment.
struct Local {
    global: Global,
    config: Config,
    engine: Engine,
    embedded: Mutex<Option<Embedded>>,
}

impl Local {
    async fn open(&self) -> Result<Transport> {
        match Embedded::open(&self.global, &self.config, self.engine).await? {
            Opening::Host(host) => {
                let transport = Transport::InProcess(host.router());
                *self.embedded.lock().await = Some(*host);
                Ok(transport)
            }
            Opening::Held { transport, .. } => Ok(transport),
        }
    }
}

#[async_trait]
impl Reopen for Local {
    async fn reopen(&self) -> Result<Transport, ClientError> {
        self.open()
            .await
            .map_err(|error| ClientError::Setup(format!("{error:#}")))
    }
}
