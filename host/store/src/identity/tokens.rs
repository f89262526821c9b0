//! Tokens.

use rusqlite::{Row, params};

use super::users;
use crate::error::Within;
use crate::runs::unless_duplicate;
use crate::sql::{all, change, first};
use crate::store::Tx;
use crate::{Durability, NewAudit, NewToken, Store, StoreError, Time, Token, audit};

impl Store {
    /// Creates a token of a user. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the user, [`StoreError::Exists`], and those of every
    /// write.
    pub fn create_token(&self, token: &NewToken, audit: &NewAudit) -> Result<Token, StoreError> {
        self.write(Durability::Power, |tx| {
            users::require(tx, &token.user)?;
            let token = insert(tx, token)?;
            audit::append(tx, audit)?;
            Ok(token)
        })
    }

    /// A token by its id, revoked and expired ones included.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and those of every read.
    pub fn token(&self, id: &str) -> Result<Token, StoreError> {
        self.read(|connection| {
            let found = first(
                connection,
                "SELECT * FROM tokens WHERE id = ?1",
                [id],
                token,
            )?;
            Ok(found.ok_or_else(|| StoreError::not_found("token", id))?)
        })
    }

    /// The tokens of a user (none for all), the oldest first.
    ///
    /// # Errors
    /// Those of every read.
    pub fn tokens(&self, user: Option<&str>) -> Result<Vec<Token>, StoreError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT * FROM tokens WHERE ?1 IS NULL OR user = ?1 ORDER BY id",
                [user],
                token,
            )
        })
    }

    /// Revokes a token. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] where it is revoked already; and
    /// those of every write.
    pub fn revoke_token(&self, id: &str, audit: &NewAudit) -> Result<(), StoreError> {
        self.write(Durability::Power, |tx| {
            revoke(tx, "token", "tokens", id)?;
            audit::append(tx, audit)?;
            Ok(())
        })
    }

    /// Notes that a token was used at `at`. To be called once a minute a token at most.
    ///
    /// # Errors
    /// Those of every write.
    pub fn touch_token(&self, id: &str, at: Time) -> Result<(), StoreError> {
        self.write(Durability::Process, |tx| {
            change(
                tx,
                "UPDATE tokens SET last_used = max(coalesce(last_used, 0), ?2) WHERE id = ?1",
                params![id, at],
            )?;
            Ok(())
        })
    }
}

pub(super) fn insert(tx: &Tx<'_>, token: &NewToken) -> Within<Token> {
    let inserted = change(
        tx,
        "INSERT INTO tokens (id, user, label, hash, created, expires)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            token.id,
            token.user,
            token.label,
            token.hash,
            tx.now,
            token.expires
        ],
    );
    unless_duplicate(inserted, || StoreError::Exists {
        what: "token",
        id: token.id.clone(),
    })?;
    Ok(Token {
        id: token.id.clone(),
        user: token.user.clone(),
        label: token.label.clone(),
        hash: token.hash.clone(),
        created: tx.now,
        expires: token.expires,
        revoked: None,
        last_used: None,
    })
}

/// Writes that a token or grant, a row of `table`, does not count any more.
pub(super) fn revoke(tx: &Tx<'_>, what: &'static str, table: &'static str, id: &str) -> Within<()> {
    let revoked = change(
        tx,
        &format!("UPDATE {table} SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL"),
        params![id, tx.now],
    )?;
    if revoked > 0 {
        return Ok(());
    }
    let known = first(
        tx,
        &format!("SELECT 1 FROM {table} WHERE id = ?1"),
        [id],
        |_| Ok(()),
    )?;
    Err(match known {
        Some(()) => StoreError::conflict(what, id, "it is revoked already"),
        None => StoreError::not_found(what, id),
    }
    .into())
}

fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    Ok(Token {
        id: row.get("id")?,
        user: row.get("user")?,
        label: row.get("label")?,
        hash: row.get("hash")?,
        created: row.get("created")?,
        expires: row.get("expires")?,
        revoked: row.get("revoked")?,
        last_used: row.get("last_used")?,
    })
}
