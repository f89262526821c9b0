//! `cofferdam token`.

use super::lifetime;
use crate::cli::{Global, Output, TokenCommand};
use crate::client::session::{Engine, Session};
use crate::client::{Ask, path};
use crate::render::table::Table;
use crate::render::time::{when, when_any};
use crate::render::{json, safe, sayln};
use anyhow::Result;
use cofferdam_store::{Page, Time, Token};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::process::ExitCode;

/// Does a `token` command.
pub async fn run(command: &TokenCommand, global: &Global) -> Result<ExitCode> {
    match command {
        TokenCommand::Create {
            user,
            label,
            expires,
        } => {
            let body = json!({
                "user": user,
                "label": label.as_deref().unwrap_or("command line"),
                "valid_for": expires.as_deref().map(lifetime).transpose()?,
            });
            Session::with(global, Engine::Idle, async |session| {
                let ask = Ask::post(path(&["tokens"]), body);
                let made: NewToken = session.client.ask_for(ask).await?;
                match session.output {
                    Output::Json => json(&made)?,
                    Output::Text => {
                        eprintln!(
                            "{} of {}; the token is shown this once:",
                            made.token.id,
                            safe(&made.token.user)
                        );
                        sayln!("{}", made.secret);
                    }
                }
                Ok(ExitCode::SUCCESS)
            })
            .await
        }
        TokenCommand::List => Session::with(global, Engine::Idle, list).await,
        TokenCommand::Revoke { id } => {
            Session::with(global, Engine::Idle, async |session| {
                let answer = session
                    .client
                    .ask(Ask::delete(path(&["tokens", id])))
                    .await?;
                session.done(&answer, &format!("revoked {id}"))
            })
            .await
        }
    }
}

/// A token with its text.
#[derive(Serialize, Deserialize)]
struct NewToken {
    secret: String,
    token: Token,
}

async fn list(session: &Session) -> Result<ExitCode> {
    let ask = Ask::get(path(&["tokens"])).with("limit", Some(1000));
    let page: Page<Token> = session.client.ask_for(ask).await?;
    if session.output == Output::Json {
        json(&page)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["id", "user", "label", "made", "used", "state"]);
    for token in &page.items {
        let state = match (token.revoked, token.expires) {
            (Some(at), _) => format!("revoked {}", when(at)),
            (None, Some(at)) if at <= Time::now() => format!("expired {}", when(at)),
            (None, Some(at)) => format!("expires {}", when(at)),
            (None, None) => "good".to_owned(),
        };
        table.row(&[
            &token.id,
            &token.user,
            &token.label,
            &when(token.created),
            &when_any(token.last_used),
            &state,
        ]);
    }
    table.print("no tokens");
    crate::render::run::more(page.next.as_deref());
    Ok(ExitCode::SUCCESS)
}
