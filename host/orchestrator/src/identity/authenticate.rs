//! From a token to an actor.

use super::token::{self, TokenText};
use super::{Actor, Identity, IdentityError};
use cofferdam_store::{StoreError, Time, Token};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How exact [`Token::last_used`] is: it is written at most this often, so that reading does
/// not write.
const LAST_USED_STEP: Duration = Duration::from_secs(60);

impl Identity {
    /// Whose token this is. `address` is where the request came from; none counts as one
    /// address.
    ///
    /// # Errors
    /// [`IdentityError::Unauthenticated`]; [`IdentityError::TooManyFailures`] where this
    /// address has sent too many wrong ones and this one is not known to be right;
    /// [`IdentityError::Store`].
    pub async fn authenticate(
        &self,
        text: &str,
        address: Option<IpAddr>,
    ) -> Result<Actor, IdentityError> {
        let now = Time::now();
        let Some(parsed) = TokenText::parse(text) else {
            return Err(self.refuse(address));
        };
        // A token that counts no more is not hashed: its answer costs nothing.
        let Some(token) = self.live_token(&parsed.id, now)? else {
            return Err(self.refuse(address));
        };
        if !self.0.verified.knows(&parsed.id, text, &token.hash) {
            self.verify(text, parsed.secret, &token, address).await?;
        }
        self.note_use(&token, now);
        Ok(Actor::with_token(token.user, parsed.id, address))
    }

    async fn verify(
        &self,
        text: &str,
        secret: &str,
        token: &Token,
        address: Option<IpAddr>,
    ) -> Result<(), IdentityError> {
        let permit = self.0.hashing.acquire().await;
        let _permit = permit.map_err(|error| IdentityError::Host(error.to_string()))?;
        // Others may have come with the same token, or wrong ones, while this one waited.
        if self.0.verified.knows(&token.id, text, &token.hash) {
            return Ok(());
        }
        if let Some(retry_after) = self.0.failures.wait(address, Instant::now()) {
            return Err(IdentityError::TooManyFailures { retry_after });
        }
        let secret = Zeroizing::new(secret.to_owned());
        let hash = token.hash.clone();
        if !self
            .blocking(move |_| token::matches(&secret, &hash))
            .await?
        {
            return Err(self.refuse(address));
        }
        self.0.verified.remember(&token.id, text, &token.hash);
        Ok(())
    }

    /// The token, where it counts at this moment.
    pub(super) fn live_token(&self, id: &str, now: Time) -> Result<Option<Token>, IdentityError> {
        let token = match self.store().token(id) {
            Ok(token) => token,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if token.revoked.is_some() || token.expires.is_some_and(|expires| expires <= now) {
            self.0.verified.forget(id);
            return Ok(None);
        }
        match self.store().user(&token.user) {
            Ok(user) if !user.disabled => Ok(Some(token)),
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn refuse(&self, address: Option<IpAddr>) -> IdentityError {
        self.0.failures.record(address, Instant::now());
        IdentityError::Unauthenticated
    }

    /// Writes when the token was used, coarsely. That it cannot be written refuses nobody.
    fn note_use(&self, token: &Token, now: Time) {
        let fresh = token
            .last_used
            .is_some_and(|last| now.since(last) < LAST_USED_STEP);
        if !fresh && let Err(error) = self.store().touch_token(&token.id, now) {
            tracing::warn!(%error, token = token.id, "the time of a token's use cannot be written");
        }
    }
}
