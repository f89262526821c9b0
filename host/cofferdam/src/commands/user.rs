//! `cofferdam user`.

use crate::cli::{Global, Output, UserCommand};
use crate::client::session::{Engine, Session};
use crate::client::{Ask, path};
use crate::render::json;
use crate::render::table::Table;
use crate::render::time::when;
use anyhow::Result;
use cofferdam_store::{Page, Role, RoleBinding, Time};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::process::ExitCode;

/// Does a `user` command.
pub async fn run(command: &UserCommand, global: &Global) -> Result<ExitCode> {
    Session::with(global, Engine::Idle, async |session| match command {
        UserCommand::Add { name, role } => add(session, name, *role).await,
        UserCommand::List => list(session).await,
        UserCommand::Remove { name } => {
            let ask = Ask::delete(path(&["users", name]));
            let answer = session.client.ask(ask).await?;
            session.done(&answer, &format!("removed the user {name}"))
        }
        UserCommand::Role {
            name,
            role: Some(role),
            ..
        } => {
            let answer = set_role(session, name, *role).await?;
            let project = &session.project;
            session.done(&answer, &format!("{name} is {role} in {project}"))
        }
        UserCommand::Role { name, .. } => {
            let project = &session.project;
            let ask = Ask::delete(path(&["users", name, "roles", project]));
            let answer = session.client.ask(ask).await?;
            session.done(
                &answer,
                &format!("{name} has no role in {project} any more"),
            )
        }
    })
    .await
}

async fn add(session: &Session, name: &str, role: Option<Role>) -> Result<ExitCode> {
    let ask = Ask::post(path(&["users"]), json!({"name": name}));
    let mut answer = session.client.ask(ask).await?;
    let mut said = format!("added the user {name}");
    if let Some(role) = role {
        set_role(session, name, role).await?;
        said = format!("{said}, {role} in {}", session.project);
        answer = session.client.ask(Ask::get(path(&["users", name]))).await?;
    }
    session.done(&answer, &said)
}

async fn set_role(
    session: &Session,
    name: &str,
    role: Role,
) -> Result<serde_json::Value, crate::client::problem::ClientError> {
    let path = path(&["users", name, "roles", &session.project]);
    session
        .client
        .ask(Ask::put(path, json!({"role": role})))
        .await
}

/// A user with the roles that one may see.
#[derive(Serialize, Deserialize)]
struct User {
    name: String,
    created: Time,
    disabled: bool,
    roles: Vec<RoleBinding>,
}

async fn list(session: &Session) -> Result<ExitCode> {
    let ask = Ask::get(path(&["users"])).with("limit", Some(1000));
    let page: Page<User> = session.client.ask_for(ask).await?;
    if session.output == Output::Json {
        json(&page)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["name", "roles", "made", ""]);
    for user in &page.items {
        let roles: Vec<String> = user
            .roles
            .iter()
            .map(|binding| format!("{} in {}", binding.role, binding.project))
            .collect();
        table.row(&[
            &user.name,
            &roles.join(", "),
            &when(user.created),
            if user.disabled { "disabled" } else { "" },
        ]);
    }
    table.print("no users");
    crate::render::run::more(page.next.as_deref());
    Ok(ExitCode::SUCCESS)
}
