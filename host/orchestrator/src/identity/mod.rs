//! Who may do what, and who did it.
//!
//! **Problem.** Several people and programs use one host. Each may do some things in some
//! projects, some of them only for an hour, and afterwards it must be known who did what.
//!
//! **Design.** A *user* has *roles* (read, deploy, admin; each includes those before it) in
//! *projects* or in all of them (`*`), for good by a binding or for a while by a *grant*.
//! Requests carry a *token* of a user ([`Identity::authenticate`] makes an [`Actor`] of it);
//! whoever owns the state folder needs none. Every function that changes something takes the
//! actor first, asks [`Identity::require`], and hands the store an audit record together with
//! the change.
//!
//! Nobody can give what they do not have: the admin of a project rules over the roles of
//! that project and no other; who is admin by a grant can give grants that end no later, and
//! no roles for good; a token made with a token expires no later. The last admin of all
//! projects cannot be removed.
//!
//! Roles, grants and tokens are read from the store each time they are asked for. Only that
//! a token's text matches its hash is remembered, because that costs an argon2 run and
//! cannot change.
//!
//! **Limits.** Users have no passwords and come from no directory. A token has all roles of
//! its user. Roles are not divided further.

mod access;
mod actor;
mod audit;
mod authenticate;
mod bootstrap;
mod error;
mod failures;
mod grants;
mod names;
mod token;
mod tokens;
mod users;
mod verified;

pub use access::Visible;
pub use actor::{Actor, Via};
pub use bootstrap::{FIRST_USER, FirstToken};
pub use error::IdentityError;
pub(crate) use error::store_code;
pub use grants::{GrantRequest, LONGEST_GRANT};
pub use names::{project_name, project_or_every, user_name};
pub use token::PREFIX as TOKEN_PREFIX;
pub use tokens::{CreatedToken, TokenRequest};
pub use users::UserView;

use cofferdam_store::{PAGE_LIMIT, Page, PageRequest, Store};
use failures::Failures;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;
use verified::Verified;

/// Stands for all projects in roles, grants and questions.
pub const EVERY_PROJECT: &str = "*";

/// How many tokens are hashed at once; each takes 19 MiB and a core.
const HASHES_AT_ONCE: usize = 2;

/// Users, roles, tokens, grants and the audit log. Clones share everything.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    store: Store,
    verified: Verified,
    failures: Failures,
    hashing: Semaphore,
    /// Held from a check to the change that depends on it.
    changes: Mutex<()>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    /// Identity over what the store holds.
    pub fn new(store: Store) -> Self {
        Self(Arc::new(Inner {
            store,
            verified: Verified::default(),
            failures: Failures::default(),
            hashing: Semaphore::new(HASHES_AT_ONCE),
            changes: Mutex::new(()),
        }))
    }

    fn store(&self) -> &Store {
        &self.0.store
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.0
            .changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Does on a thread that may block what waits for the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, IdentityError> + Send + 'static,
    ) -> Result<T, IdentityError> {
        let identity = self.clone();
        match tokio::task::spawn_blocking(move || work(&identity)).await {
            Ok(result) => result,
            Err(error) => Err(IdentityError::Host(format!("a task ended early: {error}"))),
        }
    }
}

/// A page of what is listed in the order of its names. The cursor is the last name shown.
fn paged<T>(
    items: Vec<T>,
    page: &PageRequest,
    name: impl Fn(&T) -> &String,
) -> Result<Page<T>, IdentityError> {
    if !(1..=PAGE_LIMIT).contains(&page.limit) {
        let reason = format!("{} is not within 1 to {PAGE_LIMIT}", page.limit);
        return Err(IdentityError::invalid("limit", reason));
    }
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let after = |item: &T| page.cursor.as_ref().is_none_or(|last| name(item) > last);
    let mut items: Vec<T> = items.into_iter().filter(after).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more {
        items.last().map(|item| name(item).clone())
    } else {
        None
    };
    Ok(Page { items, next })
}
