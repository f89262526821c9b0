//! `cofferdam plugin remove`, `history` and `release`.

use crate::cli::{Global, Output};
use crate::client::session::{Engine, Session};
use crate::client::{Ask, path};
use crate::render;
use crate::render::table::Table;
use crate::render::time::when;
use anyhow::Result;
use cofferdam_api::routes::plugins::ReleaseAnswer;
use cofferdam_store::{Activation, ActivationOutcome, Page, VersionName};
use serde_json::json;
use std::process::ExitCode;

/// Forgets a version.
pub async fn remove(id: &str, version: &str, global: &Global) -> Result<ExitCode> {
    Session::with(global, Engine::Idle, async |session| {
        let answer = session.client.remove_plugin(id, version).await?;
        session.done(&answer, &format!("removed {id} {version}"))
    })
    .await
}

/// Lets quarantined versions be called again.
pub async fn release(id: &str, version: Option<&str>, global: &Global) -> Result<ExitCode> {
    Session::with(global, Engine::Idle, async |session| {
        let body = json!({ "version": version });
        let ask = Ask::post(path(&["plugins", id, "release"]), body);
        let answer = session.client.ask(ask).await?;
        let released: ReleaseAnswer = session.client.typed(answer.clone())?;
        let versions: Vec<&str> = released
            .released
            .iter()
            .map(|quarantine| quarantine.version.as_str())
            .collect();
        session.done(
            &answer,
            &format!("{id} {} is called again", versions.join(", ")),
        )
    })
    .await
}

/// Shows the activations of a plugin.
pub async fn history(id: &str, limit: u32, global: &Global) -> Result<ExitCode> {
    Session::with(global, Engine::Idle, async |session| {
        let ask = Ask::get(path(&["plugins", id, "history"])).with("limit", Some(limit));
        let page: Page<Activation> = session.client.ask_for(ask).await?;
        if session.output == Output::Json {
            render::json(&page)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = Table::new(&["when", "cause", "from", "to", "outcome", "by"]);
        for activation in &page.items {
            table.row(&[
                &when(activation.started),
                activation.cause.as_str(),
                version(activation.from.as_ref()),
                version(activation.to.as_ref()),
                &outcome(activation),
                &activation.actor,
            ]);
        }
        table.print("no version of it was ever activated");
        Ok(ExitCode::SUCCESS)
    })
    .await
}

fn version(name: Option<&VersionName>) -> &str {
    name.map_or("-", |name| &name.version)
}

fn outcome(activation: &Activation) -> String {
    let stage = activation.stage;
    match (activation.outcome, &activation.reason) {
        (ActivationOutcome::GoingOn, _) => format!("going on: {stage}"),
        (ActivationOutcome::Active, _) if activation.finished.is_none() => {
            format!("active, {stage} goes on")
        }
        (ActivationOutcome::Active, _) => "active".to_owned(),
        (ActivationOutcome::Failed, None) => format!("failed: {stage}"),
        (ActivationOutcome::Failed, Some(reason)) => format!("failed: {stage}: {reason}"),
    }
}
