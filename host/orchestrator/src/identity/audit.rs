//! Who changed what.
//!
//! Every function that changes something builds its record with [`Actor::audit`] and hands
//! it to the store with the change, so that both happen or neither. The log is append-only
//! by trigger in the database.

use super::{Actor, EVERY_PROJECT, Identity, IdentityError, Via, names};
use cofferdam_store::{AuditFilter, AuditRecord, NewAudit, Page, PageRequest, Role};
use serde_json::Value;

impl Actor {
    /// The record of a change by this actor. `action` is `THING.VERB` (`run.start`), `detail`
    /// an object that never holds a secret's value.
    pub fn audit(
        &self,
        action: &str,
        target: &str,
        project: Option<&str>,
        detail: Value,
    ) -> NewAudit {
        NewAudit {
            actor: self.user.clone(),
            via: match &self.via {
                Via::Local => "local".to_owned(),
                Via::Token(id) => id.clone(),
            },
            address: self.address.map(|address| address.to_string()),
            action: action.to_owned(),
            target: target.to_owned(),
            project: project.map(str::to_owned),
            detail,
        }
    }
}

impl Identity {
    /// The audit records that fit `filter`, newest first. Whoever is admin of some projects
    /// sees the records of those; records without a project and those of all projects are
    /// for admins of all projects.
    ///
    /// # Errors
    /// [`IdentityError::Invalid`] for what is no name of a project,
    /// [`IdentityError::Denied`] for who is admin of nothing that was asked for,
    /// [`IdentityError::Store`].
    pub fn audit(
        &self,
        actor: &Actor,
        mut filter: AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, IdentityError> {
        for project in filter.projects.iter().flatten() {
            names::project_or_every(project)?;
        }
        let visible = self.access(actor)?.projects(Role::Admin);
        let wanted = filter
            .projects
            .as_deref()
            .and_then(<[String]>::first)
            .cloned();
        filter.projects = visible.narrowed(filter.projects.take());
        if filter.projects.as_ref().is_some_and(Vec::is_empty) {
            let project = wanted.as_deref().unwrap_or(EVERY_PROJECT);
            return Err(IdentityError::denied(&actor.user, Role::Admin, project));
        }
        Ok(self.store().audit(&filter, page)?)
    }
}
