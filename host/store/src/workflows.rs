//! Workflows that are kept by name.

use rusqlite::{Row, params};
use sha2::{Digest, Sha256};

use crate::sql::{Json, all, change, first};
use crate::{Durability, NewAudit, SavedWorkflow, Store, StoreError, audit};

impl Store {
    /// Saves a workflow's text by name; one of the same name is replaced. Runs keep the
    /// text they began with. Survives the loss of power.
    ///
    /// # Errors
    /// Those of every write.
    pub fn save_workflow(
        &self,
        project: &str,
        name: &str,
        source: &str,
        audit: &NewAudit,
    ) -> Result<SavedWorkflow, StoreError> {
        self.write(Durability::Power, |tx| {
            let saved = SavedWorkflow {
                project: project.to_owned(),
                name: name.to_owned(),
                source: source.to_owned(),
                digest: hex::encode(Sha256::digest(source)),
                created: tx.now,
                actor: audit.actor.clone(),
            };
            change(
                tx,
                "INSERT INTO workflows (project, name, source, digest, created, actor)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (project, name)
                 DO UPDATE SET source = ?3, digest = ?4, created = ?5, actor = ?6",
                params![
                    saved.project,
                    saved.name,
                    saved.source,
                    saved.digest,
                    saved.created,
                    saved.actor
                ],
            )?;
            audit::append(tx, audit)?;
            Ok(saved)
        })
    }

    /// A saved workflow.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and those of every read.
    pub fn workflow(&self, project: &str, name: &str) -> Result<SavedWorkflow, StoreError> {
        self.read(|connection| {
            let found = first(
                connection,
                "SELECT * FROM workflows WHERE project = ?1 AND name = ?2",
                [project, name],
                workflow,
            )?;
            Ok(found
                .ok_or_else(|| StoreError::not_found("workflow", format!("{project}/{name}")))?)
        })
    }

    /// The saved workflows of `projects` (none for all), by project and name.
    ///
    /// # Errors
    /// Those of every read.
    pub fn workflows(&self, projects: Option<&[String]>) -> Result<Vec<SavedWorkflow>, StoreError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT * FROM workflows
                 WHERE ?1 IS NULL OR project IN (SELECT value FROM json_each(?1))
                 ORDER BY project, name",
                [projects.map(Json)],
                workflow,
            )
        })
    }

    /// Removes a saved workflow. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and those of every write.
    pub fn remove_workflow(
        &self,
        project: &str,
        name: &str,
        audit: &NewAudit,
    ) -> Result<(), StoreError> {
        self.write(Durability::Power, |tx| {
            let removed = change(
                tx,
                "DELETE FROM workflows WHERE project = ?1 AND name = ?2",
                [project, name],
            )?;
            if removed == 0 {
                return Err(StoreError::not_found("workflow", format!("{project}/{name}")).into());
            }
            audit::append(tx, audit)?;
            Ok(())
        })
    }
}

fn workflow(row: &Row<'_>) -> rusqlite::Result<SavedWorkflow> {
    Ok(SavedWorkflow {
        project: row.get("project")?,
        name: row.get("name")?,
        source: row.get("source")?,
        digest: row.get("digest")?,
        created: row.get("created")?,
        actor: row.get("actor")?,
    })
}
