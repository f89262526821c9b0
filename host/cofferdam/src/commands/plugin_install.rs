//! `cofferdam plugin install`, `activate` and `rollback`.
//!
//! What a plugin wants and why is shown before anything is installed, and how it differs
//! from what the active version wants. Somebody at a terminal is asked; a program says
//! `--grant`, or is refused with the command and the lines that grant it.

use super::plugin_stages::follow;
use crate::cli::{Decide, Global, InstallPlugin, Output};
use crate::client::plugins::Handing;
use crate::client::session::{Engine, Session};
use crate::exit::{NotGranted, NotInstalled};
use crate::render::{bytes, json, safe_line, sayln};
use anyhow::{Context, Result};
use axum::body::Bytes;
use cofferdam_api::routes::plugins::{DifferenceView, InstallAnswer, ProposalView};
use cofferdam_runtime::{MAX_COMPONENT_BYTES, PluginFile, inspect};
use cofferdam_store::Activation;
use serde_json::{Map, Value};
use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;

/// Installs a file.
pub async fn install(command: &InstallPlugin, global: &Global) -> Result<ExitCode> {
    let (component, digest) = read(&command.file)?;
    Session::with(global, Engine::Idle, async |session| {
        let client = &session.client;
        let proposal = client.propose_plugin(component.clone(), &digest).await?;
        if session.output == Output::Text {
            describe(&proposal);
        }
        let grant = decide(&proposal, command, session.output).await?;
        let handing = Handing {
            digest: &digest,
            grant,
            activate: command.activate,
        };
        let answer = client.install_plugin(component.clone(), handing).await?;
        if session.output == Output::Text {
            sayln!(
                "installed {} {} (sha256:{})",
                safe_line(&answer.version.id),
                safe_line(&answer.version.version),
                safe_line(&answer.version.digest)
            );
            if !answer.version.grants.is_empty() {
                sayln!("it is granted:");
                scope("  ", &answer.version.grants);
            }
        }
        match answer.activation.clone() {
            Some(activation) => serve(session, activation, Some(answer)).await,
            None => {
                if session.output == Output::Json {
                    json(&answer)?;
                } else if answer.version.active_since.is_none() {
                    sayln!(
                        "it does not serve yet: cofferdam plugin activate {} {}",
                        safe_line(&answer.version.id),
                        safe_line(&answer.version.version)
                    );
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    })
    .await
}

/// Activates an installed version.
pub async fn activate(id: &str, version: Option<&str>, global: &Global) -> Result<ExitCode> {
    Session::with(global, Engine::Idle, async |session| {
        let activation = session.client.activate_plugin(id, version).await?;
        serve(session, activation, None).await
    })
    .await
}

/// Activates the version before.
pub async fn rollback(id: &str, global: &Global) -> Result<ExitCode> {
    Session::with(global, Engine::Idle, async |session| {
        let activation = session.client.roll_plugin_back(id).await?;
        serve(session, activation, None).await
    })
    .await
}

/// Follows an activation and says what came of it.
async fn serve(
    session: &Session,
    activation: Activation,
    installed: Option<InstallAnswer>,
) -> Result<ExitCode> {
    let say = |line: &str| eprintln!("{line}");
    let followed = follow(&session.client, activation, say).await?;
    let activation = followed.activation;
    if session.output == Output::Json {
        match installed {
            Some(installed) => json(&InstallAnswer {
                activation: Some(activation),
                ..installed
            })?,
            None => json(&activation)?,
        }
    } else if followed.failed.is_none() {
        let before = activation.from.as_ref().map_or_else(String::new, |from| {
            format!(", {} before it", safe_line(&from.version))
        });
        let now = activation
            .to
            .as_ref()
            .map_or("no version", |to| &to.version);
        sayln!(
            "{} {} serves{before}",
            safe_line(&activation.plugin),
            safe_line(now)
        );
    }
    match followed.failed {
        Some(failed) => Err(failed.into()),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// The component and its digest; what is no plugin is refused before a host is asked.
fn read(file: &Path) -> Result<(Bytes, String)> {
    let no_plugin = || format!("{} is no plugin for this host", file.display());
    // Looks at what kind of file it is, too: a pipe has no end.
    PluginFile::read(file).with_context(no_plugin)?;
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|open| open.take(MAX_COMPONENT_BYTES + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", file.display()))?;
    let digest = inspect(&bytes).with_context(no_plugin)?.digest;
    Ok((Bytes::from(bytes), digest))
}

/// Says what a component is, and what it wants and why.
fn describe(proposal: &ProposalView) {
    sayln!(
        "{} {} ({}), {}",
        safe_line(&proposal.id),
        safe_line(&proposal.version),
        safe_line(&proposal.kind),
        bytes(proposal.size)
    );
    sayln!("  {}", safe_line(&proposal.summary));
    if proposal.wants.is_empty() {
        sayln!(
            "it wants nothing beyond what a {} has",
            safe_line(&proposal.kind)
        );
    } else {
        sayln!("it wants:");
    }
    for want in &proposal.wants {
        sayln!("  {}: {}", safe_line(&want.interface), reason(&want.why));
        scope("    ", &want.grant);
    }
    if let Some(active) = &proposal.active {
        let lines = difference(&proposal.difference);
        if lines.is_empty() {
            sayln!(
                "compared with {}, which serves: no other wishes",
                safe_line(active)
            );
        } else {
            sayln!("compared with {}, which serves:", safe_line(active));
        }
        for line in lines {
            sayln!("  {line}");
        }
    }
    if !proposal.left_out.is_empty() {
        sayln!("the configuration has tables for it, which decide and do not grant:");
    }
    for want in &proposal.left_out {
        sayln!("  {}:", safe_line(&want.interface));
        scope("    ", &want.grant);
    }
    let granted = proposal.missing.wants_no_more() && proposal.left_out.is_empty();
    if !proposal.wants.is_empty() && granted {
        sayln!("all of it is granted");
    }
}

fn reason(why: &str) -> String {
    if why.trim().is_empty() {
        "(it does not say why)".to_owned()
    } else {
        safe_line(why)
    }
}

/// The lines of a grant, as the configuration has them.
fn scope(indent: &str, grant: &Map<String, Value>) {
    let text = toml::to_string(grant).unwrap_or_else(|_| Value::from(grant.clone()).to_string());
    for line in text.lines().filter(|line| !line.is_empty()) {
        sayln!("{indent}{}", safe_line(line));
    }
}

/// A line for each capability: `+` added, `~` wanted with another scope, `-` no longer.
fn difference(difference: &DifferenceView) -> Vec<String> {
    let added = difference
        .added
        .iter()
        .map(|want| format!("+ {}", safe_line(&want.interface)));
    let widened = difference.widened.iter().map(|widened| {
        let text = |grant: &Map<String, Value>| safe_line(&Value::from(grant.clone()).to_string());
        format!(
            "~ {}: {} instead of {}",
            safe_line(&widened.interface),
            text(&widened.after),
            text(&widened.before)
        )
    });
    let dropped = difference
        .dropped
        .iter()
        .map(|want| format!("- {}", safe_line(&want.interface)));
    added.chain(widened).chain(dropped).collect()
}

/// Whether what is missing is granted. An error where nobody agrees.
async fn decide(proposal: &ProposalView, command: &InstallPlugin, output: Output) -> Result<bool> {
    let Decide { grant, yes } = command.decide;
    let missing = !proposal.missing.wants_no_more();
    if grant || (yes && !missing) {
        return Ok(grant);
    }
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !terminal || output == Output::Json || yes {
        if missing {
            return Err(NotGranted(refusal(proposal, &command.file, command.activate)).into());
        }
        // Nothing is given away, and a program has asked for it.
        return Ok(false);
    }
    let question = match (missing, command.activate) {
        (true, true) => "grant what is missing, install and activate? [y]es, [n]o: ",
        (true, false) => "grant what is missing and install? [y]es, [n]o: ",
        (false, true) => "install and activate? [y]es, [n]o: ",
        (false, false) => "install? [y]es, [n]o: ",
    };
    let name = format!("{} {}", proposal.id, proposal.version);
    // Reading a line cannot be waited for without a thread.
    let agreed = tokio::task::spawn_blocking(move || prompt(question)).await?;
    match (agreed, missing) {
        (true, missing) => Ok(missing),
        (false, true) => Err(NotGranted(refusal(proposal, &command.file, command.activate)).into()),
        (false, false) => Err(NotInstalled(name).into()),
    }
}

/// What is missing, and what to type or to write.
fn refusal(proposal: &ProposalView, file: &Path, activate: bool) -> String {
    let missing = &proposal.missing;
    let names: Vec<String> = missing
        .added
        .iter()
        .map(|want| &want.interface)
        .chain(missing.widened.iter().map(|widened| &widened.interface))
        .map(|interface| safe_line(interface))
        .collect();
    let than = proposal
        .active
        .as_ref()
        .map_or_else(String::new, |active| format!(" (version {active} serves)"));
    let activate = if activate { " --activate" } else { "" };
    format!(
        "{} {} wants what it was not granted: {}{than}; nothing was installed. To grant it as the plugin proposes: `cofferdam plugin install {} --grant{activate}`. To grant less, write in cofferdam.toml, which a running host reads only when it starts (restart it then), narrowed:\n{}",
        proposal.id,
        proposal.version,
        names.join(", "),
        file.display(),
        proposal.lines.trim_end(),
    )
}

fn prompt(question: &str) -> bool {
    loop {
        eprint!("{question}");
        let mut answer = String::new();
        let read = std::io::stderr()
            .flush()
            .and_then(|()| std::io::stdin().lock().read_line(&mut answer));
        match (read, answer.trim().to_lowercase().as_str()) {
            (Err(_) | Ok(0), _) | (_, "n" | "no") => return false,
            (_, "y" | "yes") => return true,
            _ => {}
        }
    }
}
