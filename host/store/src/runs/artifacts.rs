//! The files of a run.

use rusqlite::{Connection, Row, params};
use serde_json::json;

use super::transition::RunHead;
use crate::error::{Failure, Within};
use crate::event_kind;
use crate::journal::Journal;
use crate::sql::{all, change, first};
use crate::store::Tx;
use crate::{Artifact, Durability, Event, NewArtifact, Store, StoreError};

impl Store {
    /// Records a file that a run made; one of the same name is replaced. The file itself
    /// must be synced before. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the run, and those of every write.
    pub fn record_artifact(
        &self,
        run: &str,
        artifact: &NewArtifact,
    ) -> Result<Vec<Event>, StoreError> {
        self.write(Durability::Power, |tx| {
            let head = RunHead::read(tx, run)?;
            let mut journal = Journal::of(run, &head.project);
            record(tx, &mut journal, artifact)?;
            Ok(journal.events)
        })
    }

    /// A file of a run by its name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and those of every read.
    pub fn artifact(&self, run: &str, name: &str) -> Result<Artifact, StoreError> {
        self.read(|connection| {
            let found = first(
                connection,
                "SELECT * FROM artifacts WHERE run = ?1 AND name = ?2",
                [run, name],
                artifact,
            )?;
            Ok(found.ok_or_else(|| StoreError::not_found("artifact", format!("{run}/{name}")))?)
        })
    }

    /// The files of a run, by name.
    ///
    /// # Errors
    /// Those of every read.
    pub fn artifacts(&self, run: &str) -> Result<Vec<Artifact>, StoreError> {
        self.read(|connection| of_run(connection, run))
    }
}

pub(super) fn of_run(connection: &Connection, run: &str) -> Within<Vec<Artifact>> {
    all(
        connection,
        "SELECT * FROM artifacts WHERE run = ?1 ORDER BY name",
        [run],
        artifact,
    )
}

fn artifact(row: &Row<'_>) -> rusqlite::Result<Artifact> {
    let size: i64 = row.get("size")?;
    Ok(Artifact {
        run: row.get("run")?,
        name: row.get("name")?,
        path: row.get("path")?,
        size: u64::try_from(size).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(3, size))?,
        sha256: row.get("sha256")?,
    })
}

pub(super) fn record(tx: &Tx<'_>, journal: &mut Journal<'_>, artifact: &NewArtifact) -> Within<()> {
    let size = i64::try_from(artifact.size).map_err(|_| {
        Failure::from(StoreError::invalid(
            "size",
            format!("{} bytes are more than any file has", artifact.size),
        ))
    })?;
    change(
        tx,
        "INSERT INTO artifacts (run, name, path, size, sha256) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (run, name) DO UPDATE SET path = ?3, size = ?4, sha256 = ?5",
        params![
            journal.run,
            artifact.name,
            artifact.path,
            size,
            artifact.sha256
        ],
    )?;
    journal.write(
        tx,
        None,
        None,
        event_kind::ARTIFACT_RECORDED,
        json!({ "name": artifact.name, "size": artifact.size }),
    )?;
    Ok(())
}
