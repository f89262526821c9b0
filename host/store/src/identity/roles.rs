//! What users may do.

use rusqlite::{Row, params};

use super::users;
use crate::error::Within;
use crate::sql::{all, change};
use crate::store::Tx;
use crate::{
    Durability, EffectiveRole, NewAudit, Role, RoleBinding, Store, StoreError, Time, audit,
};

impl Store {
    /// Gives a user a role in a project (`*` for all) in place of the one they had there.
    /// Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the user, and those of every write.
    pub fn bind_role(
        &self,
        user: &str,
        project: &str,
        role: Role,
        audit: &NewAudit,
    ) -> Result<(), StoreError> {
        self.write(Durability::Power, |tx| {
            users::require(tx, user)?;
            bind(tx, user, project, role)?;
            audit::append(tx, audit)?;
            Ok(())
        })
    }

    /// Takes a user's role in a project away. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and those of every write.
    pub fn unbind_role(
        &self,
        user: &str,
        project: &str,
        audit: &NewAudit,
    ) -> Result<(), StoreError> {
        self.write(Durability::Power, |tx| {
            let removed = change(
                tx,
                "DELETE FROM role_bindings WHERE user = ?1 AND project = ?2",
                [user, project],
            )?;
            if removed == 0 {
                return Err(StoreError::not_found("role", format!("{user}/{project}")).into());
            }
            audit::append(tx, audit)?;
            Ok(())
        })
    }

    /// The roles of a user (none for all), by user and project.
    ///
    /// # Errors
    /// Those of every read.
    pub fn role_bindings(&self, user: Option<&str>) -> Result<Vec<RoleBinding>, StoreError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT * FROM role_bindings WHERE ?1 IS NULL OR user = ?1
                 ORDER BY user, project",
                [user],
                binding,
            )
        })
    }

    /// What a user may do at `at`, by bindings and grants; nothing for one who is disabled
    /// or does not exist.
    ///
    /// # Errors
    /// Those of every read.
    pub fn effective_roles(&self, user: &str, at: Time) -> Result<Vec<EffectiveRole>, StoreError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT project, role, NULL AS grant_id, NULL AS expires FROM role_bindings
                 WHERE user = (SELECT name FROM users WHERE name = ?1 AND NOT disabled)
                 UNION ALL
                 SELECT project, role, id, expires FROM grants
                 WHERE user = (SELECT name FROM users WHERE name = ?1 AND NOT disabled)
                 AND revoked IS NULL AND expires > ?2
                 ORDER BY 1, 3",
                params![user, at],
                |row| {
                    Ok(EffectiveRole {
                        project: row.get(0)?,
                        role: row.get(1)?,
                        grant: row.get(2)?,
                        expires: row.get(3)?,
                    })
                },
            )
        })
    }
}

/// Writes a role in place of the one before.
pub(super) fn bind(tx: &Tx<'_>, user: &str, project: &str, role: Role) -> Within<()> {
    change(
        tx,
        "INSERT INTO role_bindings (user, project, role) VALUES (?1, ?2, ?3)
         ON CONFLICT (user, project) DO UPDATE SET role = ?3",
        params![user, project, role],
    )?;
    Ok(())
}

fn binding(row: &Row<'_>) -> rusqlite::Result<RoleBinding> {
    Ok(RoleBinding {
        user: row.get("user")?,
        project: row.get("project")?,
        role: row.get("role")?,
    })
}
