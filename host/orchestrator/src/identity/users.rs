//! Users and the roles they have for good.

use super::{Actor, EVERY_PROJECT, Identity, IdentityError, Visible, names};
use cofferdam_store::{Page, PageRequest, Role, RoleBinding, User};
use serde::Serialize;
use serde_json::json;

/// A user, with the roles that the asker may see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserView {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// Roles for good; those by grants are in the list of grants.
    pub roles: Vec<RoleBinding>,
}

impl Identity {
    /// Creates a user, who may do nothing yet. For admins of all projects.
    ///
    /// # Errors
    /// [`IdentityError::Denied`], [`IdentityError::Invalid`] for the name,
    /// [`IdentityError::Store`] where it exists.
    pub async fn create_user(&self, actor: &Actor, name: &str) -> Result<User, IdentityError> {
        names::user_name(name)?;
        let (actor, name) = (actor.clone(), name.to_owned());
        self.blocking(move |identity| {
            let _changing = identity.changing();
            identity.require_lasting_admin(&actor, EVERY_PROJECT)?;
            let audit = actor.audit("user.create", &name, None, json!({}));
            Ok(identity.store().create_user(&name, &audit)?)
        })
        .await
    }

    /// Removes a user: their tokens and grants count no more. For admins of all projects.
    ///
    /// # Errors
    /// [`IdentityError::Conflict`] for the last admin of all projects,
    /// [`IdentityError::Denied`], [`IdentityError::NotFound`], [`IdentityError::Store`].
    pub async fn remove_user(&self, actor: &Actor, name: &str) -> Result<(), IdentityError> {
        let (actor, name) = (actor.clone(), name.to_owned());
        self.blocking(move |identity| {
            let _changing = identity.changing();
            identity.require_lasting_admin(&actor, EVERY_PROJECT)?;
            identity.store().user(&name)?;
            identity.keep_an_admin(&name)?;
            let audit = actor.audit("user.remove", &name, None, json!({}));
            Ok(identity.store().remove_user(&name, &audit)?)
        })
        .await
    }

    /// Makes all tokens, roles and grants of a user count for nothing, or count again. For
    /// admins of all projects.
    ///
    /// # Errors
    /// Those of [`remove_user`](Self::remove_user).
    pub async fn set_user_disabled(
        &self,
        actor: &Actor,
        name: &str,
        disabled: bool,
    ) -> Result<User, IdentityError> {
        let (actor, name) = (actor.clone(), name.to_owned());
        self.blocking(move |identity| {
            let _changing = identity.changing();
            identity.require_lasting_admin(&actor, EVERY_PROJECT)?;
            let user = identity.store().user(&name)?;
            if user.disabled == disabled {
                return Ok(user);
            }
            if disabled {
                identity.keep_an_admin(&name)?;
            }
            let action = if disabled {
                "user.disable"
            } else {
                "user.enable"
            };
            let audit = actor.audit(action, &name, None, json!({}));
            identity
                .store()
                .set_user_disabled(&name, disabled, &audit)?;
            Ok(identity.store().user(&name)?)
        })
        .await
    }

    /// Gives a user a role in a project (`*` for all) for good, in place of the one they had
    /// there; none takes it away. For admins of that project who are so for good themselves.
    ///
    /// # Errors
    /// [`IdentityError::Conflict`] for the last admin of all projects,
    /// [`IdentityError::Denied`], [`IdentityError::NotFound`] for the user, for a role that is
    /// not there, or for a project that the actor does not see; [`IdentityError::Invalid`] for
    /// the project's name; [`IdentityError::Store`].
    pub async fn set_role(
        &self,
        actor: &Actor,
        user: &str,
        project: &str,
        role: Option<Role>,
    ) -> Result<(), IdentityError> {
        names::project_or_every(project)?;
        let (actor, user, project) = (actor.clone(), user.to_owned(), project.to_owned());
        self.blocking(move |identity| {
            let _changing = identity.changing();
            identity.require_lasting_admin(&actor, &project)?;
            identity.store().user(&user)?;
            if project == EVERY_PROJECT && role != Some(Role::Admin) {
                identity.keep_an_admin(&user)?;
            }
            let detail = json!({"user": user, "role": role});
            let target = format!("{user}/{project}");
            let store = identity.store();
            match role {
                Some(role) => {
                    let audit = actor.audit("role.set", &target, Some(&project), detail);
                    store.bind_role(&user, &project, role, &audit)?;
                }
                None => {
                    let audit = actor.audit("role.remove", &target, Some(&project), detail);
                    store.unbind_role(&user, &project, &audit)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Users by name. Admins of all projects see all; admins of some see who has a role in
    /// those, and those roles; everybody sees themselves.
    ///
    /// # Errors
    /// [`IdentityError::Invalid`] for the page, [`IdentityError::Store`].
    pub fn users(
        &self,
        actor: &Actor,
        page: &PageRequest,
    ) -> Result<Page<UserView>, IdentityError> {
        if let Some(cursor) = &page.cursor {
            names::user_name(cursor).map_err(|_| {
                IdentityError::invalid("cursor", "it was not given out by this list")
            })?;
        }
        super::paged(self.seen_users(actor)?, page, |view| &view.user.name)
    }

    /// One user, as [`users`](Self::users) shows them.
    ///
    /// # Errors
    /// [`IdentityError::NotFound`], [`IdentityError::Store`].
    pub fn user(&self, actor: &Actor, name: &str) -> Result<UserView, IdentityError> {
        self.seen_users(actor)?
            .into_iter()
            .find(|view| view.user.name == name)
            .ok_or_else(|| IdentityError::not_found("user", name))
    }

    fn seen_users(&self, actor: &Actor) -> Result<Vec<UserView>, IdentityError> {
        let visible = self.visible(actor, Role::Admin)?;
        let mut bindings = self.store().role_bindings(None)?;
        bindings.retain(|binding| match &visible {
            Visible::All => true,
            Visible::Only(projects) => {
                binding.user == actor.user || projects.contains(&binding.project)
            }
        });
        let views = self.store().users()?.into_iter().filter_map(|user| {
            let roles: Vec<RoleBinding> = bindings
                .iter()
                .filter(|binding| binding.user == user.name)
                .cloned()
                .collect();
            let shown = visible == Visible::All || user.name == actor.user || !roles.is_empty();
            shown.then_some(UserView { user, roles })
        });
        Ok(views.collect())
    }

    /// Refuses unless the actor is admin for good: what is given for good must not come of a
    /// role for a while.
    fn require_lasting_admin(&self, actor: &Actor, project: &str) -> Result<(), IdentityError> {
        self.require(actor, project, Role::Admin)?;
        match self.access(actor)?.admin_until(project) {
            Some(None) => Ok(()),
            _ => Err(IdentityError::Denied {
                who: actor.user.clone(),
                needs: "a role of admin that does not come of a grant".to_owned(),
            }),
        }
    }

    /// Refuses where `leaving` is the only user that is admin of all projects for good.
    fn keep_an_admin(&self, leaving: &str) -> Result<(), IdentityError> {
        let mut leads = false;
        for binding in self.store().role_bindings(None)? {
            if binding.project != EVERY_PROJECT || binding.role != Role::Admin {
                continue;
            }
            if binding.user == leaving {
                leads = true;
            } else if !self.store().user(&binding.user)?.disabled {
                return Ok(());
            }
        }
        if !leads {
            return Ok(());
        }
        Err(IdentityError::Conflict(format!(
            "`{leaving}` is the last admin of all projects; make somebody else admin of `*` first"
        )))
    }
}
