//! Roles for a while.

use super::{Actor, Identity, IdentityError, names};
use cofferdam_store::{Grant, GrantFilter, NewGrant, Page, PageRequest, Role, Time, new_grant_id};
use serde_json::json;
use std::time::Duration;

/// The longest that a grant may last; what is needed for longer is a role.
pub const LONGEST_GRANT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The longest reason, bytes.
const LONGEST_REASON: usize = 500;

/// A grant to be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRequest {
    /// To whom.
    pub user: String,
    /// In which project, or `*` for all.
    pub project: String,
    /// Which role.
    pub role: Role,
    /// What for, 1 to 500 bytes; it stands in the audit log.
    pub reason: String,
    /// When it ceases to count, at most [`LONGEST_GRANT`] from now.
    pub expires: Time,
}

impl Identity {
    /// Gives a role for a while; it counts from the user's next request on. For admins of
    /// the project; who is admin by a grant can give none that lasts longer.
    ///
    /// # Errors
    /// [`IdentityError::Denied`], [`IdentityError::NotFound`] for an unknown user or a
    /// project that the actor does not see, [`IdentityError::Invalid`],
    /// [`IdentityError::Store`].
    pub async fn create_grant(
        &self,
        actor: &Actor,
        request: GrantRequest,
    ) -> Result<Grant, IdentityError> {
        let actor = actor.clone();
        self.blocking(move |identity| identity.create_grant_now(&actor, request))
            .await
    }

    fn create_grant_now(
        &self,
        actor: &Actor,
        request: GrantRequest,
    ) -> Result<Grant, IdentityError> {
        names::project_or_every(&request.project)?;
        names::remark("reason", &request.reason, LONGEST_REASON)?;
        let now = Time::now();
        if request.expires <= now {
            return Err(IdentityError::invalid("expiry", "it is in the past"));
        }
        if request.expires > now.plus(LONGEST_GRANT) {
            return Err(IdentityError::invalid(
                "expiry",
                "a grant lasts at most 30 days; give a role for what is needed longer",
            ));
        }
        let _changing = self.changing();
        self.require(actor, &request.project, Role::Admin)?;
        let until = self.access(actor)?.admin_until(&request.project).flatten();
        if let Some(until) = until.filter(|until| request.expires > *until) {
            return Err(IdentityError::invalid(
                "expiry",
                format!(
                    "your own role of admin there ends at {until}, and what you give cannot last longer"
                ),
            ));
        }
        self.store().user(&request.user)?;
        let new = NewGrant {
            id: new_grant_id(),
            user: request.user,
            project: request.project,
            role: request.role,
            reason: request.reason,
            granted_by: actor.user.clone(),
            expires: request.expires,
        };
        let detail = json!({
            "user": new.user, "role": new.role, "reason": new.reason, "expires": new.expires,
        });
        let audit = actor.audit("grant.create", &new.id, Some(&new.project), detail);
        Ok(self.store().create_grant(&new, &audit)?)
    }

    /// Grants, oldest first: those of projects that the actor is admin of, and its own.
    ///
    /// # Errors
    /// [`IdentityError::Invalid`] for what is no name of a project, [`IdentityError::Store`].
    pub fn grants(
        &self,
        actor: &Actor,
        mut filter: GrantFilter,
        page: &PageRequest,
    ) -> Result<Page<Grant>, IdentityError> {
        for project in filter.projects.iter().flatten() {
            names::project_or_every(project)?;
        }
        let visible = self.access(actor)?.projects(Role::Admin);
        if filter.user.as_deref() != Some(actor.user.as_str()) {
            filter.projects = visible.narrowed(filter.projects.take());
            if filter.projects.as_ref().is_some_and(Vec::is_empty) && filter.user.is_none() {
                // Who is admin of nothing sees what they were given themselves.
                filter.projects = None;
                filter.user = Some(actor.user.clone());
            }
        }
        page.id("grt")?;
        super::paged(self.store().grants(&filter)?, page, |grant| &grant.id)
    }

    /// Ends a grant at once. For admins of its project, and for who has it. Again is no error.
    ///
    /// # Errors
    /// [`IdentityError::NotFound`], [`IdentityError::Denied`], [`IdentityError::Store`].
    pub async fn revoke_grant(&self, actor: &Actor, id: &str) -> Result<Grant, IdentityError> {
        let (actor, id) = (actor.clone(), id.to_owned());
        self.blocking(move |identity| {
            let _changing = identity.changing();
            let grant = identity.store().grant(&id)?;
            if grant.user == actor.user && !actor.is_local() {
                identity.access(&actor)?;
            } else {
                identity.require_for(&actor, &grant.project, Role::Admin, "grant", &id)?;
            }
            if grant.revoked.is_some() {
                return Ok(grant);
            }
            let detail = json!({"user": grant.user, "role": grant.role});
            let audit = actor.audit("grant.revoke", &id, Some(&grant.project), detail);
            identity.store().revoke_grant(&id, &audit)?;
            Ok(identity.store().grant(&id)?)
        })
        .await
    }
}
