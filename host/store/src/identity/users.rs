//! Users.

use rusqlite::{Row, params};

use crate::error::Within;
use crate::runs::unless_duplicate;
use crate::sql::{all, change, first};
use crate::store::Tx;
use crate::{Durability, NewAudit, NewToken, Role, Store, StoreError, User, audit};

impl Store {
    /// Creates a user, who may do nothing yet. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::Exists`], and those of every write.
    pub fn create_user(&self, name: &str, audit: &NewAudit) -> Result<User, StoreError> {
        self.write(Durability::Power, |tx| {
            let user = insert(tx, name)?;
            audit::append(tx, audit)?;
            Ok(user)
        })
    }

    /// At the first start, when there is no token yet: creates the first user (unless it
    /// exists), gives it the role admin in all projects, and creates its token. Says
    /// whether it did. Survives the loss of power.
    ///
    /// # Errors
    /// Those of every write.
    pub fn create_first_admin(
        &self,
        token: &NewToken,
        audit: &NewAudit,
    ) -> Result<bool, StoreError> {
        self.write(Durability::Power, |tx| {
            if first(tx, "SELECT 1 FROM tokens LIMIT 1", [], |_| Ok(()))?.is_some() {
                return Ok(false);
            }
            change(
                tx,
                "INSERT INTO users (name, created) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![token.user, tx.now],
            )?;
            super::roles::bind(tx, &token.user, "*", Role::Admin)?;
            super::tokens::insert(tx, token)?;
            audit::append(tx, audit)?;
            Ok(true)
        })
    }

    /// A user.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and those of every read.
    pub fn user(&self, name: &str) -> Result<User, StoreError> {
        self.read(|connection| {
            let found = first(
                connection,
                "SELECT * FROM users WHERE name = ?1",
                [name],
                user,
            )?;
            Ok(found.ok_or_else(|| StoreError::not_found("user", name))?)
        })
    }

    /// All users, by name.
    ///
    /// # Errors
    /// Those of every read.
    pub fn users(&self) -> Result<Vec<User>, StoreError> {
        self.read(|connection| all(connection, "SELECT * FROM users ORDER BY name", [], user))
    }

    /// Disables a user, whose tokens and grants then count for nothing, or enables them
    /// again. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and those of every write.
    pub fn set_user_disabled(
        &self,
        name: &str,
        disabled: bool,
        audit: &NewAudit,
    ) -> Result<(), StoreError> {
        self.write(Durability::Power, |tx| {
            let changed = change(
                tx,
                "UPDATE users SET disabled = ?2 WHERE name = ?1",
                params![name, disabled],
            )?;
            if changed == 0 {
                return Err(StoreError::not_found("user", name).into());
            }
            audit::append(tx, audit)?;
            Ok(())
        })
    }

    /// Removes a user and their roles, and revokes their tokens and grants, whose records
    /// stay. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and those of every write.
    pub fn remove_user(&self, name: &str, audit: &NewAudit) -> Result<(), StoreError> {
        self.write(Durability::Power, |tx| {
            require(tx, name)?;
            for statement in [
                "UPDATE tokens SET revoked = coalesce(revoked, ?2) WHERE user = ?1",
                "UPDATE grants SET revoked = coalesce(revoked, ?2) WHERE user = ?1",
            ] {
                change(tx, statement, params![name, tx.now])?;
            }
            change(tx, "DELETE FROM role_bindings WHERE user = ?1", [name])?;
            change(tx, "DELETE FROM users WHERE name = ?1", [name])?;
            audit::append(tx, audit)?;
            Ok(())
        })
    }
}

/// Refuses a user who does not exist.
pub(super) fn require(tx: &Tx<'_>, name: &str) -> Within<()> {
    let found = first(
        tx,
        "SELECT 1 FROM users WHERE name = ?1",
        [name],
        |_| Ok(()),
    )?;
    Ok(found.ok_or_else(|| StoreError::not_found("user", name))?)
}

fn insert(tx: &Tx<'_>, name: &str) -> Within<User> {
    let inserted = change(
        tx,
        "INSERT INTO users (name, created) VALUES (?1, ?2)",
        params![name, tx.now],
    );
    unless_duplicate(inserted, || StoreError::Exists {
        what: "user",
        id: name.to_owned(),
    })?;
    Ok(User {
        name: name.to_owned(),
        created: tx.now,
        disabled: false,
    })
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        name: row.get("name")?,
        created: row.get("created")?,
        disabled: row.get("disabled")?,
    })
}
