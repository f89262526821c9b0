//! `cofferdam audit`.

use crate::cli::{Audit, Global, Output};
use crate::client::session::{Engine, Session};
use crate::client::{Ask, path};
use crate::render::json;
use crate::render::run::more;
use crate::render::table::Table;
use anyhow::Result;
use cofferdam_store::{AuditRecord, Page};
use std::process::ExitCode;

/// Lists who changed what.
pub async fn run(command: &Audit, global: &Global) -> Result<ExitCode> {
    Session::with(global, Engine::Idle, async |session| {
        let ask = Ask::get(path(&["audit"]))
            .with("project", session.named_project())
            .with("actor", command.actor.as_deref())
            .with("action", command.action.as_deref())
            .with("since", command.since.as_deref())
            .with("until", command.until.as_deref())
            .with("limit", Some(command.limit))
            .with("cursor", command.cursor.as_deref());
        let page: Page<AuditRecord> = session.client.ask_for(ask).await?;
        if session.output == Output::Json {
            json(&page)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = Table::new(&["time", "actor", "via", "action", "target", "project"]);
        for record in &page.items {
            table.row(&[
                &record.at.to_string(),
                &record.actor,
                &record.via,
                &record.action,
                &record.target,
                record.project.as_deref().unwrap_or("-"),
            ]);
        }
        table.print("nothing was changed yet");
        more(page.next.as_deref());
        Ok(ExitCode::SUCCESS)
    })
    .await
}
