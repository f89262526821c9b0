//! What an actor may do, looked up when it is asked.
//!
//! Nothing of it is kept in memory: a role, grant or token that was given or taken away a
//! moment ago counts for the very next question, whoever changed it.

use super::{Actor, EVERY_PROJECT, Identity, IdentityError, Via};
use cofferdam_store::{EffectiveRole, Role, Time};

/// The projects that a list may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visible {
    /// All.
    All,
    /// These and no others; may be none.
    Only(Vec<String>),
}

impl Visible {
    /// What a list may show when `wanted` is asked for (none: everything one may see), in the
    /// form that the store's filters have: none is all projects.
    pub fn narrowed(self, wanted: Option<Vec<String>>) -> Option<Vec<String>> {
        match (self, wanted) {
            (Self::All, wanted) => wanted,
            (Self::Only(visible), None) => Some(visible),
            (Self::Only(visible), Some(mut wanted)) => {
                wanted.retain(|project| visible.contains(project));
                Some(wanted)
            }
        }
    }
}

/// What an actor holds at one moment.
pub(super) enum Access {
    /// Everything: the owner of the state folder.
    Everything,
    /// These roles.
    Roles(Vec<EffectiveRole>),
}

impl Access {
    fn applying<'a>(&'a self, project: &'a str) -> impl Iterator<Item = &'a EffectiveRole> {
        let roles = match self {
            Self::Everything => &[],
            Self::Roles(roles) => roles.as_slice(),
        };
        roles
            .iter()
            .filter(move |held| held.project == project || held.project == EVERY_PROJECT)
    }

    /// The highest role in a project. For [`EVERY_PROJECT`]: in all of them.
    pub fn role(&self, project: &str) -> Option<Role> {
        match self {
            Self::Everything => Some(Role::Admin),
            Self::Roles(_) => self.applying(project).map(|held| held.role).max(),
        }
    }

    /// Until when the actor is admin of a project: none where not at all,
    /// `Some(None)` where for good.
    pub fn admin_until(&self, project: &str) -> Option<Option<Time>> {
        if matches!(self, Self::Everything) {
            return Some(None);
        }
        self.applying(project)
            .filter(|held| held.role == Role::Admin)
            .map(|held| held.expires)
            // No end is later than every end.
            .max_by_key(|expires| expires.map_or(i64::MAX, |time| time.0))
    }

    /// The projects in which the actor has at least `role`.
    pub fn projects(&self, role: Role) -> Visible {
        match self {
            Self::Everything => Visible::All,
            Self::Roles(roles) => {
                let held = || roles.iter().filter(|held| held.role >= role);
                if held().any(|held| held.project == EVERY_PROJECT) {
                    return Visible::All;
                }
                let mut projects: Vec<String> = held().map(|held| held.project.clone()).collect();
                projects.sort_unstable();
                projects.dedup();
                Visible::Only(projects)
            }
        }
    }
}

impl Identity {
    /// What the actor holds now. A token that no longer counts holds nothing, so that what
    /// outlives a request (a stream of events) ends with it.
    pub(super) fn access(&self, actor: &Actor) -> Result<Access, IdentityError> {
        let id = match &actor.via {
            Via::Local => return Ok(Access::Everything),
            Via::Token(id) => id,
        };
        let now = Time::now();
        let token = self.live_token(id, now)?;
        if token.is_none_or(|token| token.user != actor.user) {
            return Err(IdentityError::Unauthenticated);
        }
        Ok(Access::Roles(
            self.store().effective_roles(&actor.user, now)?,
        ))
    }

    /// Refuses unless the actor has at least `role` in `project` (`*`: in every project).
    ///
    /// # Errors
    /// [`IdentityError::NotFound`] where the actor may not even read the project, so that
    /// nobody finds out names by asking; [`IdentityError::Denied`] where it may;
    /// [`IdentityError::Unauthenticated`] where its token counts no more.
    pub fn require(&self, actor: &Actor, project: &str, role: Role) -> Result<(), IdentityError> {
        self.require_for(actor, project, role, "project", project)
    }

    /// [`require`](Self::require) for a thing inside the project: where the actor may not
    /// read the project the error is the one that a thing that does not exist gives.
    ///
    /// # Errors
    /// Those of [`require`](Self::require).
    pub fn require_for(
        &self,
        actor: &Actor,
        project: &str,
        role: Role,
        what: &'static str,
        id: &str,
    ) -> Result<(), IdentityError> {
        match self.access(actor)?.role(project) {
            Some(held) if held >= role => Ok(()),
            // That all projects exist is no secret.
            None if project != EVERY_PROJECT => Err(IdentityError::not_found(what, id)),
            _ => Err(IdentityError::denied(&actor.user, role, project)),
        }
    }

    /// Whether the actor may know that things in this project exist.
    ///
    /// # Errors
    /// [`IdentityError::Store`].
    pub fn can_read(&self, actor: &Actor, project: &str) -> Result<bool, IdentityError> {
        match self.access(actor) {
            Ok(access) => Ok(access.role(project).is_some()),
            Err(IdentityError::Unauthenticated) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The projects in which the actor has at least `role`, for lists.
    ///
    /// # Errors
    /// [`IdentityError::Unauthenticated`], [`IdentityError::Store`].
    pub fn visible(&self, actor: &Actor, role: Role) -> Result<Visible, IdentityError> {
        Ok(self.access(actor)?.projects(role))
    }

    /// The roles that the actor holds now; none for [`Via::Local`], which needs none.
    ///
    /// # Errors
    /// [`IdentityError::Unauthenticated`], [`IdentityError::Store`].
    pub fn roles(&self, actor: &Actor) -> Result<Vec<EffectiveRole>, IdentityError> {
        Ok(match self.access(actor)? {
            Access::Everything => Vec::new(),
            Access::Roles(roles) => roles,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(project: &str, role: Role, expires: Option<i64>) -> EffectiveRole {
        EffectiveRole {
            project: project.to_owned(),
            role,
            grant: expires.map(|_| "grt-1".to_owned()),
            expires: expires.map(Time),
        }
    }

    #[test]
    fn the_highest_role_counts_and_a_star_counts_everywhere() {
        let access = Access::Roles(vec![
            held("a", Role::Read, None),
            held("a", Role::Deploy, Some(9)),
            held("*", Role::Read, None),
        ]);
        assert_eq!(access.role("a"), Some(Role::Deploy));
        assert_eq!(access.role("b"), Some(Role::Read));
        assert_eq!(access.role("*"), Some(Role::Read));
        assert_eq!(
            Access::Roles(vec![held("a", Role::Admin, None)]).role("*"),
            None
        );
        assert_eq!(Access::Everything.role("*"), Some(Role::Admin));
    }

    #[test]
    fn admin_lasts_as_long_as_the_longest() {
        let access = Access::Roles(vec![
            held("a", Role::Admin, Some(5)),
            held("*", Role::Admin, Some(7)),
            held("b", Role::Admin, None),
            held("c", Role::Deploy, None),
        ]);
        assert_eq!(access.admin_until("a"), Some(Some(Time(7))));
        assert_eq!(access.admin_until("b"), Some(None));
        assert_eq!(access.admin_until("c"), Some(Some(Time(7))));
        assert_eq!(Access::Roles(Vec::new()).admin_until("a"), None);
    }

    #[test]
    fn lists_show_what_is_visible_and_wanted() {
        let some = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let only = || Visible::Only(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(Visible::All.narrowed(None), None);
        assert_eq!(Visible::All.narrowed(some(&["x"])), some(&["x"]));
        assert_eq!(only().narrowed(None), some(&["a", "b"]));
        assert_eq!(only().narrowed(some(&["b", "x"])), some(&["b"]));
        assert_eq!(only().narrowed(some(&["x"])), some(&[]));
        assert_eq!(Visible::Only(Vec::new()).narrowed(None), some(&[]));
    }
}
