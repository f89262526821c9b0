//! Roles for a while.

use rusqlite::{Row, params};

use super::{tokens, users};
use crate::runs::unless_duplicate;
use crate::sql::{Json, all, change};
use crate::{Durability, Grant, GrantFilter, NewAudit, NewGrant, Store, StoreError, audit};

impl Store {
    /// Gives a user a role until it expires. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the user, [`StoreError::Invalid`] where it has expired
    /// already, [`StoreError::Exists`], and those of every write.
    pub fn create_grant(&self, grant: &NewGrant, audit: &NewAudit) -> Result<Grant, StoreError> {
        self.write(Durability::Power, |tx| {
            users::require(tx, &grant.user)?;
            if grant.expires <= tx.now {
                let why = format!("{} is in the past", grant.expires);
                return Err(StoreError::invalid("expires", why).into());
            }
            let inserted = change(
                tx,
                "INSERT INTO grants (id, user, project, role, reason, granted_by, created, expires)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    grant.id,
                    grant.user,
                    grant.project,
                    grant.role,
                    grant.reason,
                    grant.granted_by,
                    tx.now,
                    grant.expires
                ],
            );
            unless_duplicate(inserted, || StoreError::Exists {
                what: "grant",
                id: grant.id.clone(),
            })?;
            audit::append(tx, audit)?;
            let grant = grant.clone();
            Ok(Grant {
                id: grant.id,
                user: grant.user,
                project: grant.project,
                role: grant.role,
                reason: grant.reason,
                granted_by: grant.granted_by,
                created: tx.now,
                expires: grant.expires,
                revoked: None,
            })
        })
    }

    /// The grants that fit `filter`, the oldest first.
    ///
    /// # Errors
    /// Those of every read.
    pub fn grants(&self, filter: &GrantFilter) -> Result<Vec<Grant>, StoreError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT * FROM grants WHERE (?1 IS NULL OR user = ?1)
                 AND (?2 IS NULL OR project IN (SELECT value FROM json_each(?2)))
                 AND (?3 IS NULL OR (revoked IS NULL AND created <= ?3 AND expires > ?3))
                 ORDER BY id",
                params![
                    filter.user,
                    filter.projects.as_ref().map(Json),
                    filter.active_at
                ],
                grant,
            )
        })
    }

    /// A grant by its id, revoked and expired ones included.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and those of every read.
    pub fn grant(&self, id: &str) -> Result<Grant, StoreError> {
        self.read(|connection| {
            let found = crate::sql::first(
                connection,
                "SELECT * FROM grants WHERE id = ?1",
                [id],
                grant,
            )?;
            Ok(found.ok_or_else(|| StoreError::not_found("grant", id))?)
        })
    }

    /// Revokes a grant. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] where it is revoked already; and
    /// those of every write.
    pub fn revoke_grant(&self, id: &str, audit: &NewAudit) -> Result<(), StoreError> {
        self.write(Durability::Power, |tx| {
            tokens::revoke(tx, "grant", "grants", id)?;
            audit::append(tx, audit)?;
            Ok(())
        })
    }
}

fn grant(row: &Row<'_>) -> rusqlite::Result<Grant> {
    Ok(Grant {
        id: row.get("id")?,
        user: row.get("user")?,
        project: row.get("project")?,
        role: row.get("role")?,
        reason: row.get("reason")?,
        granted_by: row.get("granted_by")?,
        created: row.get("created")?,
        expires: row.get("expires")?,
        revoked: row.get("revoked")?,
    })
}
