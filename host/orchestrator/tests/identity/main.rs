//! Users, roles, tokens, grants, the audit log and secrets, over a real database.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::type_complexity,
    clippy::new_without_default,
    reason = "a test ends at the first thing that is wrong, and has no users; its tables are read as tables"
)]

mod audit;
mod escalation;
mod grants;
mod roles;
mod secrets;
mod tokens;

use cofferdam_orchestrator::identity::{
    Actor, CreatedToken, Identity, IdentityError, TokenRequest,
};
use cofferdam_store::{AuditFilter, PageRequest, Role, Store, Time};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// A state folder with identity over it.
pub struct World {
    pub folder: TempDir,
    pub store: Store,
    pub identity: Identity,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("cofferdam.db")).unwrap();
        Self {
            identity: Identity::new(store.clone()),
            store,
            folder,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A user with roles, as an actor with a token.
    pub async fn user(&self, name: &str, roles: &[(&str, Role)]) -> Actor {
        self.identity.create_user(&local(), name).await.unwrap();
        for (project, role) in roles {
            self.identity
                .set_role(&local(), name, project, Some(*role))
                .await
                .unwrap();
        }
        self.actor(name).await
    }

    /// A new token of a user, as an actor.
    pub async fn actor(&self, name: &str) -> Actor {
        let created = self.token(name, None).await;
        self.identity
            .authenticate(&created.text, None)
            .await
            .unwrap()
    }

    /// A new token of a user, made by the owner of the state folder.
    pub async fn token(&self, name: &str, expires: Option<Time>) -> CreatedToken {
        let request = TokenRequest {
            user: Some(name.to_owned()),
            label: "test".to_owned(),
            expires,
        };
        self.identity.create_token(&local(), request).await.unwrap()
    }

    /// The actions in the audit log, oldest first.
    pub fn actions(&self) -> Vec<String> {
        let page = PageRequest {
            limit: 1000,
            cursor: None,
        };
        let records = self
            .identity
            .audit(&local(), AuditFilter::default(), &page)
            .unwrap();
        let mut actions: Vec<String> = records
            .items
            .into_iter()
            .map(|record| record.action)
            .collect();
        actions.reverse();
        actions
    }
}

pub fn local() -> Actor {
    Actor::local("operator")
}

pub fn in_seconds(seconds: u64) -> Time {
    Time::now().plus(Duration::from_secs(seconds))
}

/// How an answer ends, in one word.
pub fn verdict<T>(result: Result<T, IdentityError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(IdentityError::Unauthenticated) => "unauthenticated",
        Err(IdentityError::TooManyFailures { .. }) => "too-many",
        Err(IdentityError::Denied { .. }) => "denied",
        Err(IdentityError::NotFound { .. }) => "not-found",
        Err(IdentityError::Invalid { .. }) => "invalid",
        Err(IdentityError::Conflict(_)) => "conflict",
        Err(error) => panic!("unexpected: {error}"),
    }
}
