//! `cofferdam secret`. A value is never an argument, which every process may see, and never
//! printed.

use crate::cli::{Global, Output, SecretCommand};
use crate::client::session::{Engine, Session};
use crate::client::{Ask, path};
use crate::render::json;
use crate::render::table::Table;
use crate::render::time::when;
use anyhow::{Context, Result, bail};
use cofferdam_store::SecretInfo;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::io::{IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;

/// The longest secret, in bytes.
const MAX_SECRET: u64 = 64 << 10;

/// Does a `secret` command.
pub async fn run(command: &SecretCommand, global: &Global) -> Result<ExitCode> {
    match command {
        SecretCommand::Set { name, from_file } => {
            let value = read(name, from_file.as_deref())?;
            Session::with(global, Engine::Idle, async |session| {
                let ask = Ask::put(path(&["secrets", name]), json!({"value": value}))
                    .with("project", Some(&session.project));
                let answer = session.client.ask(ask).await?;
                session.done(&answer, &format!("set the secret {name}"))
            })
            .await
        }
        SecretCommand::List => Session::with(global, Engine::Idle, list).await,
        SecretCommand::Remove { name } => {
            Session::with(global, Engine::Idle, async |session| {
                let ask =
                    Ask::delete(path(&["secrets", name])).with("project", Some(&session.project));
                let answer = session.client.ask(ask).await?;
                session.done(&answer, &format!("removed the secret {name}"))
            })
            .await
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Secrets {
    items: Vec<SecretInfo>,
}

async fn list(session: &Session) -> Result<ExitCode> {
    let ask = Ask::get(path(&["secrets"])).with("project", Some(&session.project));
    let secrets: Secrets = session.client.ask_for(ask).await?;
    if session.output == Output::Json {
        json(&secrets)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["name", "project", "made", "set"]);
    for secret in &secrets.items {
        table.row(&[
            &secret.name,
            &secret.project,
            &when(secret.created),
            &when(secret.updated),
        ]);
    }
    table.print("no secrets");
    Ok(ExitCode::SUCCESS)
}

/// The value: from a file byte for byte, from a terminal without echo, from a pipe without
/// the newline that `echo` and here-documents put at its end.
fn read(name: &str, file: Option<&Path>) -> Result<String> {
    let stdin = std::io::stdin();
    let bytes = match file {
        Some(file) => std::fs::File::open(file)
            .and_then(up_to_limit)
            .with_context(|| format!("cannot read {}", file.display()))?,
        None if stdin.is_terminal() => {
            eprint!("value of {name} (not shown): ");
            console::Term::stderr()
                .read_secure_line()
                .context("cannot read the terminal")?
                .into_bytes()
        }
        None => {
            let mut bytes = up_to_limit(stdin.lock()).context("cannot read standard input")?;
            if bytes.last() == Some(&b'\n') {
                bytes.pop();
            }
            bytes
        }
    };
    if bytes.len() as u64 > MAX_SECRET {
        bail!("a secret may have {MAX_SECRET} bytes at most");
    }
    if bytes.is_empty() {
        bail!("the value is empty; `cofferdam secret remove {name}` takes a secret away");
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        // The error must not quote the value.
        Err(_) => bail!("the value is not UTF-8 text; encode it first, for example with base64"),
    }
}

fn up_to_limit(from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_SECRET + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
