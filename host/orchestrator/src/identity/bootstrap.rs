//! The first token.

use super::{Actor, EVERY_PROJECT, Identity, IdentityError, token};
use cofferdam_store::{NewToken, Role};
use serde_json::json;
use zeroize::Zeroizing;

/// The user that the first token is of.
pub const FIRST_USER: &str = "admin";

/// The token of the first start: admin of all projects. This is the only time its text is
/// known.
pub struct FirstToken {
    /// Its record's id.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// `cof_<id>_<secret>`.
    pub text: Zeroizing<String>,
}

impl std::fmt::Debug for FirstToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FirstToken")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// Makes the first user and its token where there was never a token; none otherwise.
    /// Whichever of several processes comes first gets it, the others get none.
    ///
    /// # Errors
    /// [`IdentityError::Store`], [`IdentityError::Host`].
    pub async fn bootstrap(&self) -> Result<Option<FirstToken>, IdentityError> {
        self.blocking(|identity| {
            // Spares an argon2 run at every later start.
            if !identity.store().tokens(None)?.is_empty() {
                return Ok(None);
            }
            let minted = token::mint()?;
            let new = NewToken {
                id: minted.id,
                user: FIRST_USER.to_owned(),
                label: "first start".to_owned(),
                hash: minted.hash,
                expires: None,
            };
            let detail = json!({
                "user": new.user, "label": new.label, "project": EVERY_PROJECT, "role": Role::Admin,
            });
            let audit = Actor::local("cofferdam").audit("token.create", &new.id, None, detail);
            let made = identity.store().create_first_admin(&new, &audit)?;
            Ok(made.then_some(FirstToken {
                id: new.id,
                user: new.user,
                text: minted.text,
            }))
        })
        .await
    }
}
