//! Secrets: set by people, read by steps that were granted them, shown to nobody.
//!
//! **Design.** A secret belongs to a project and is kept encrypted by the store. People can
//! set, list and remove secrets and never read one back. A step's plugin reads them through
//! its `secrets` import, which is a [`StepSecrets`]: it gives only names that the operator
//! granted the plugin (`[plugins.ID.grants.secrets] names = ["db-*"]`), only from the run's
//! project, and tells the project's [`Redactor`] each value before it hands it out.
//! Whoever writes down what a step said passes it through [`SecretKeeper::redactor`].
//!
//! A host tells the redactors all values before it does anything else, because a step may
//! know a value from elsewhere or from before a restart; from then on, each that is set.
//!
//! **Limits.** What a redactor cannot recognise is said in [`crate::redact`]. What was
//! removed or replaced is known until the host ends. Where the key is lost or another one,
//! no value is known; the host says so when it starts.

use crate::identity::{Actor, Identity, IdentityError, project_name};
use crate::redact::{Redactor, SHORTEST};
use crate::tool::Granted;
use async_trait::async_trait;
use cofferdam_contract::services::Secrets;
use cofferdam_contract::types::Error;
use cofferdam_store::{Role, SecretInfo, SecretKey, Store, StoreError};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// The largest value, bytes; what the `secrets` interface hands to a plugin at most.
pub const LARGEST: usize = 64 << 10;

/// The host's secrets. Clones share everything.
#[derive(Clone)]
pub struct SecretKeeper(Arc<Inner>);

struct Inner {
    store: Store,
    identity: Identity,
    key_file: PathBuf,
    /// Opened, and made where there is none, when a value is first needed.
    key: Mutex<Option<Arc<SecretKey>>>,
    host: Redactor,
    projects: Mutex<HashMap<String, Redactor>>,
}

impl std::fmt::Debug for SecretKeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretKeeper").finish_non_exhaustive()
    }
}

impl SecretKeeper {
    /// Secrets of `store`, encrypted with the key in `key_file`. `host` is told every value,
    /// for the host's own logs.
    pub fn new(store: Store, identity: Identity, key_file: PathBuf, host: Redactor) -> Self {
        Self(Arc::new(Inner {
            store,
            identity,
            key_file,
            key: Mutex::new(None),
            host,
            projects: Mutex::default(),
        }))
    }

    /// Takes secrets of this project out of what its runs say.
    pub fn redactor(&self, project: &str) -> Redactor {
        let mut projects = self
            .0
            .projects
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        projects
            .entry(project.to_owned())
            .or_insert_with(|| self.0.host.child())
            .clone()
    }

    /// Tells the redactors every value that is kept. What cannot be decrypted is logged and
    /// passed over: without its key a host still has to start, to have the secret removed.
    /// Blocks.
    ///
    /// # Errors
    /// Those of every read of the store.
    pub fn recall(&self) -> Result<(), StoreError> {
        let kept = self.0.store.secrets(None)?;
        if kept.is_empty() {
            return Ok(());
        }
        let key = match self.key() {
            Ok(key) => key,
            Err(error) => {
                tracing::warn!(%error, "no secret can be read, nor be taken out of what steps say");
                return Ok(());
            }
        };
        let mut values: BTreeMap<&str, Vec<Zeroizing<Vec<u8>>>> = BTreeMap::new();
        for info in &kept {
            match self.0.store.secret(&key, &info.project, &info.name) {
                Ok(value) => values.entry(&info.project).or_default().push(value),
                Err(StoreError::SecretUnreadable { project, name, why }) => {
                    tracing::warn!(project, name, why, "a secret cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
        for (project, values) in values {
            let values: Vec<&[u8]> = values.iter().map(|value| value.as_slice()).collect();
            self.redactor(project).remember_all(&values);
        }
        Ok(())
    }

    /// Takes secrets of all projects out of what only the operator reads.
    pub fn host_redactor(&self) -> &Redactor {
        &self.0.host
    }

    /// Sets a secret, in place of one of the same name. For admins of the project.
    ///
    /// # Errors
    /// [`IdentityError::Invalid`] for a name that is not 1 to 128 letters, digits, `.`, `_`
    /// or `-`, or a value below 4 bytes or above 64 KiB; [`IdentityError::Denied`],
    /// [`IdentityError::NotFound`] for the project, [`IdentityError::Store`].
    pub async fn set(
        &self,
        actor: &Actor,
        project: &str,
        name: &str,
        value: Zeroizing<Vec<u8>>,
    ) -> Result<SecretInfo, IdentityError> {
        project_name(project)?;
        secret_name(name)?;
        if value.trim_ascii().len() < SHORTEST {
            return Err(IdentityError::invalid(
                "value",
                "it has less than 4 bytes, and one so short cannot be kept out of logs",
            ));
        }
        if value.len() > LARGEST {
            return Err(IdentityError::invalid("value", "it has more than 64 KiB"));
        }
        let (actor, project, name) = (actor.clone(), project.to_owned(), name.to_owned());
        self.blocking(move |keeper| {
            keeper.0.identity.require(&actor, &project, Role::Admin)?;
            let key = keeper.key()?;
            keeper.redactor(&project).remember(&value);
            let audit = actor.audit("secret.set", &name, Some(&project), json!({}));
            let store = &keeper.0.store;
            store.set_secret(&key, &project, &name, &value, &audit)?;
            store
                .secrets(Some(std::slice::from_ref(&project)))?
                .into_iter()
                .find(|info| info.name == name)
                .ok_or_else(|| IdentityError::not_found("secret", name))
        })
        .await
    }

    /// The secrets of a project, or of all that the actor may deploy in, without values, by
    /// project and name.
    ///
    /// # Errors
    /// [`IdentityError::Denied`], [`IdentityError::NotFound`] for the project,
    /// [`IdentityError::Store`].
    pub fn list(
        &self,
        actor: &Actor,
        project: Option<&str>,
    ) -> Result<Vec<SecretInfo>, IdentityError> {
        let identity = &self.0.identity;
        let projects = match project {
            Some(project) => {
                project_name(project)?;
                identity.require(actor, project, Role::Deploy)?;
                Some(vec![project.to_owned()])
            }
            None => identity.visible(actor, Role::Deploy)?.narrowed(None),
        };
        Ok(self.0.store.secrets(projects.as_deref())?)
    }

    /// Removes a secret. For admins of the project.
    ///
    /// # Errors
    /// [`IdentityError::NotFound`], [`IdentityError::Denied`], [`IdentityError::Store`].
    pub async fn remove(
        &self,
        actor: &Actor,
        project: &str,
        name: &str,
    ) -> Result<(), IdentityError> {
        project_name(project)?;
        let (actor, project, name) = (actor.clone(), project.to_owned(), name.to_owned());
        self.blocking(move |keeper| {
            keeper.0.identity.require(&actor, &project, Role::Admin)?;
            let audit = actor.audit("secret.remove", &name, Some(&project), json!({}));
            Ok(keeper.0.store.remove_secret(&project, &name, &audit)?)
        })
        .await
    }

    /// What stands behind the `secrets` import of a step in a run of `project`, whose plugin
    /// was granted `granted`.
    pub fn for_step(&self, project: &str, granted: Arc<Granted>) -> StepSecrets {
        StepSecrets {
            keeper: self.clone(),
            redactor: self.redactor(project),
            project: project.to_owned(),
            granted,
        }
    }

    fn key(&self) -> Result<Arc<SecretKey>, StoreError> {
        let mut key = self.0.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = key.as_ref() {
            return Ok(Arc::clone(key));
        }
        let opened = Arc::new(self.0.store.open_secret_key(&self.0.key_file)?);
        *key = Some(Arc::clone(&opened));
        Ok(opened)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, IdentityError> + Send + 'static,
    ) -> Result<T, IdentityError> {
        let keeper = self.clone();
        match tokio::task::spawn_blocking(move || work(&keeper)).await {
            Ok(result) => result,
            Err(error) => Err(IdentityError::Host(format!("a task ended early: {error}"))),
        }
    }
}

/// The longest name, bytes; what the `secrets` interface takes.
const LONGEST_NAME: usize = 128;

fn secret_name(name: &str) -> Result<(), IdentityError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(IdentityError::invalid(
        "name of the secret",
        "it has 1 to 128 letters, digits, dots, dashes or underscores",
    ))
}

/// The secrets that one step may read.
#[derive(Debug, Clone)]
pub struct StepSecrets {
    keeper: SecretKeeper,
    redactor: Redactor,
    project: String,
    granted: Arc<Granted>,
}

impl StepSecrets {
    fn value(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.granted.secret(name)?;
        let keeper = &self.keeper;
        let found = keeper
            .key()
            .and_then(|key| keeper.0.store.secret(&key, &self.project, name));
        match found {
            Ok(value) => {
                self.redactor.remember(&value);
                Ok(value.to_vec())
            }
            Err(StoreError::NotFound { .. }) => Err(Error::not_found(format!(
                "project `{}` has no secret `{name}`",
                self.project
            ))
            .with_hint(format!("set it with `cofferdam secret set {name}`"))),
            Err(error) => Err(Error::new(
                crate::identity::store_code(&error),
                error.to_string(),
            )),
        }
    }
}

#[async_trait]
impl Secrets for StepSecrets {
    async fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.value(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_plugins_can_ask_for() {
        for good in ["db-main", "A.b_c", "7"] {
            secret_name(good).unwrap();
        }
        for bad in ["", "a b", "a/b", "ä", "a\0", &"x".repeat(129)] {
            assert!(secret_name(bad).is_err(), "{bad:?}");
        }
    }
}
