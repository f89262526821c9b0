//! `cofferdam grant`.

use super::lifetime;
use crate::cli::{Global, GrantCommand, Output};
use crate::client::session::{Engine, Session};
use crate::client::{Ask, path};
use crate::render::json;
use crate::render::table::Table;
use crate::render::time::when;
use anyhow::Result;
use cofferdam_store::{Grant, Page, Time};
use serde_json::json;
use std::process::ExitCode;

/// Does a `grant` command.
pub async fn run(command: &GrantCommand, global: &Global) -> Result<ExitCode> {
    match command {
        GrantCommand::Create {
            user,
            role,
            duration,
            reason,
        } => {
            let seconds = lifetime(duration)?;
            Session::with(global, Engine::Idle, async |session| {
                let body = json!({
                    "user": user,
                    "project": session.project,
                    "role": role,
                    "reason": reason,
                    "valid_for": seconds,
                });
                let ask = Ask::post(path(&["grants"]), body);
                let answer = session.client.ask(ask).await?;
                let grant: Grant = session.client.typed(answer.clone())?;
                let said = format!(
                    "{}: {user} is {role} in {} until {}",
                    grant.id, grant.project, grant.expires
                );
                session.done(&answer, &said)
            })
            .await
        }
        GrantCommand::List { all } => {
            Session::with(global, Engine::Idle, async |session| {
                list(session, *all).await
            })
            .await
        }
        GrantCommand::Revoke { id } => {
            Session::with(global, Engine::Idle, async |session| {
                let answer = session
                    .client
                    .ask(Ask::delete(path(&["grants", id])))
                    .await?;
                session.done(&answer, &format!("ended {id}"))
            })
            .await
        }
    }
}

async fn list(session: &Session, all: bool) -> Result<ExitCode> {
    let ask = Ask::get(path(&["grants"]))
        .with("project", session.named_project())
        .with("active", (!all).then_some(true))
        .with("limit", Some(1000));
    let page: Page<Grant> = session.client.ask_for(ask).await?;
    if session.output == Output::Json {
        json(&page)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["id", "user", "project", "role", "state", "by", "reason"]);
    for grant in &page.items {
        let state = match grant.revoked {
            Some(at) => format!("ended {}", when(at)),
            None if grant.expires <= Time::now() => format!("expired {}", when(grant.expires)),
            None => format!("expires {}", when(grant.expires)),
        };
        table.row(&[
            &grant.id,
            &grant.user,
            &grant.project,
            grant.role.as_str(),
            &state,
            &grant.granted_by,
            &grant.reason,
        ]);
    }
    table.print("no grants");
    crate::render::run::more(page.next.as_deref());
    Ok(ExitCode::SUCCESS)
}
