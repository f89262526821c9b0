//! Making, listing and revoking tokens.

use super::{Actor, EVERY_PROJECT, Identity, IdentityError, Via, names, token};
use cofferdam_store::{NewToken, Page, PageRequest, Role, Time, Token};
use serde_json::json;
use zeroize::Zeroizing;

/// The longest label, bytes.
const LONGEST_LABEL: usize = 200;

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// Whose; none for the actor's own.
    pub user: Option<String>,
    /// What it is for, 1 to 200 bytes.
    pub label: String,
    /// When it ceases to count; none for never, which a token that itself expires cannot
    /// give.
    pub expires: Option<Time>,
}

/// A token that was made. This is the only time its text is known.
pub struct CreatedToken {
    /// What is kept of it.
    pub token: Token,
    /// `cof_<id>_<secret>`; to be shown once and never written down by the host.
    pub text: Zeroizing<String>,
}

impl std::fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedToken")
            .field("id", &self.token.id)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// Makes a token. Everybody may make their own; those of others, which hold all roles of
    /// their user, are for admins of all projects.
    ///
    /// # Errors
    /// [`IdentityError::Denied`], [`IdentityError::NotFound`] for an unknown user,
    /// [`IdentityError::Invalid`], [`IdentityError::Store`].
    pub async fn create_token(
        &self,
        actor: &Actor,
        request: TokenRequest,
    ) -> Result<CreatedToken, IdentityError> {
        let actor = actor.clone();
        self.blocking(move |identity| identity.create_token_now(&actor, request))
            .await
    }

    fn create_token_now(
        &self,
        actor: &Actor,
        request: TokenRequest,
    ) -> Result<CreatedToken, IdentityError> {
        names::remark("label", &request.label, LONGEST_LABEL)?;
        if request.expires.is_some_and(|at| at <= Time::now()) {
            return Err(IdentityError::invalid("expiry", "it is in the past"));
        }
        let user = request.user.unwrap_or_else(|| actor.user.clone());
        let _changing = self.changing();
        let access = self.access(actor)?;
        // One's own user is the token's, not the local account of the same name.
        let own = matches!(actor.via, Via::Token(_)) && user == actor.user;
        if own {
            self.refuse_outliving(actor, request.expires)?;
        } else if access.admin_until(EVERY_PROJECT) != Some(None) {
            // An admin by a grant would keep everything beyond its end.
            return Err(IdentityError::denied(
                &actor.user,
                Role::Admin,
                EVERY_PROJECT,
            ));
        }
        self.store().user(&user)?;
        let minted = token::mint()?;
        let new = NewToken {
            id: minted.id,
            user: user.clone(),
            label: request.label.clone(),
            hash: minted.hash,
            expires: request.expires,
        };
        let detail = json!({"user": user, "label": request.label, "expires": request.expires});
        let audit = actor.audit("token.create", &new.id, None, detail);
        Ok(CreatedToken {
            token: self.store().create_token(&new, &audit)?,
            text: minted.text,
        })
    }

    /// A token that leaked must not be good for another that lasts longer.
    fn refuse_outliving(&self, actor: &Actor, expires: Option<Time>) -> Result<(), IdentityError> {
        let Via::Token(id) = &actor.via else {
            return Ok(());
        };
        let Some(own) = self.store().token(id)?.expires else {
            return Ok(());
        };
        match expires {
            Some(expires) if expires <= own => Ok(()),
            _ => Err(IdentityError::invalid(
                "expiry",
                format!(
                    "the token that is used expires at {own}, and one made with it cannot last longer; give an earlier time, or have an administrator make it"
                ),
            )),
        }
    }

    /// Tokens, oldest first, without anything secret: those of `user`, or all that one may
    /// see. Everybody sees their own, admins of all projects see all.
    ///
    /// # Errors
    /// [`IdentityError::Denied`], [`IdentityError::Store`], also for a page that was not given
    /// out.
    pub fn tokens(
        &self,
        actor: &Actor,
        user: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Token>, IdentityError> {
        let rules = self.access(actor)?.role(EVERY_PROJECT) == Some(Role::Admin);
        let user = match user {
            _ if rules => user,
            None => Some(actor.user.as_str()),
            Some(user) if user == actor.user => Some(user),
            Some(_) => {
                return Err(IdentityError::denied(
                    &actor.user,
                    Role::Admin,
                    EVERY_PROJECT,
                ));
            }
        };
        page.id("tok")?;
        super::paged(self.store().tokens(user)?, page, |token| &token.id)
    }

    /// Makes a token count no more, from the next request on. Everybody may revoke their
    /// own, admins of all projects may revoke all. Again is no error.
    ///
    /// # Errors
    /// [`IdentityError::NotFound`] for those of others too, [`IdentityError::Store`].
    pub async fn revoke_token(&self, actor: &Actor, id: &str) -> Result<Token, IdentityError> {
        let (actor, id) = (actor.clone(), id.to_owned());
        self.blocking(move |identity| {
            let _changing = identity.changing();
            let token = identity.store().token(&id)?;
            let rules = identity.access(&actor)?.role(EVERY_PROJECT) == Some(Role::Admin);
            if !rules && token.user != actor.user {
                return Err(IdentityError::not_found("token", id));
            }
            if token.revoked.is_some() {
                return Ok(token);
            }
            let audit = actor.audit("token.revoke", &id, None, json!({"user": token.user}));
            identity.store().revoke_token(&id, &audit)?;
            identity.0.verified.forget(&id);
            Ok(identity.store().token(&id)?)
        })
        .await
    }
}
