//! Runs with all that belongs to them.

use rusqlite::{Connection, Row};

use super::{approvals, artifacts};
use crate::error::Within;
use crate::sql::{all, first, json, json_or_none};
use crate::{PinnedPlugin, Run, RunDetail, StepRecord, Store, StoreError};

impl Store {
    /// A run.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and those of every read.
    pub fn run(&self, id: &str) -> Result<Run, StoreError> {
        self.read(|connection| run_of(connection, id))
    }

    /// A run and all that belongs to it, at one moment.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and those of every read.
    pub fn run_detail(&self, id: &str) -> Result<RunDetail, StoreError> {
        self.read(|connection| detail(connection, run_of(connection, id)?))
    }

    /// The steps of a run, in the workflow's order.
    ///
    /// # Errors
    /// Those of every read.
    pub fn steps(&self, run: &str) -> Result<Vec<StepRecord>, StoreError> {
        self.read(|connection| steps_of(connection, run))
    }

    /// The runs that have not ended, the oldest first, with all that belongs to them: at
    /// most `limit` of those after the one with id `after`.
    ///
    /// # Errors
    /// Those of every read.
    pub fn unfinished_runs(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<RunDetail>, StoreError> {
        crate::journal::check_limit(limit)?;
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM runs WHERE finished IS NULL AND id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let runs = statement
                .query_map((after.unwrap_or(""), limit), run)?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            runs.into_iter()
                .map(|run| detail(connection, run))
                .collect()
        })
    }

    /// The digests that runs which have not ended are fixed to.
    ///
    /// # Errors
    /// Those of every read.
    pub fn digests_in_use(&self) -> Result<Vec<String>, StoreError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT DISTINCT digest FROM pinned_plugins
                 WHERE run IN (SELECT id FROM runs WHERE finished IS NULL) ORDER BY digest",
                [],
                |row| row.get(0),
            )
        })
    }
}

fn detail(connection: &Connection, run: Run) -> Within<RunDetail> {
    Ok(RunDetail {
        steps: steps_of(connection, &run.id)?,
        approvals: approvals::of_run(connection, &run.id)?,
        artifacts: artifacts::of_run(connection, &run.id)?,
        plugins: plugins_of(connection, &run.id)?,
        run,
    })
}

fn run_of(connection: &Connection, id: &str) -> Within<Run> {
    let found = first(connection, "SELECT * FROM runs WHERE id = ?1", [id], run)?;
    Ok(found.ok_or_else(|| StoreError::not_found("run", id))?)
}

fn steps_of(connection: &Connection, run: &str) -> Within<Vec<StepRecord>> {
    all(
        connection,
        "SELECT * FROM steps WHERE run = ?1 ORDER BY position",
        [run],
        step,
    )
}

fn plugins_of(connection: &Connection, run: &str) -> Within<Vec<PinnedPlugin>> {
    all(
        connection,
        "SELECT * FROM pinned_plugins WHERE run = ?1 ORDER BY id, digest",
        [run],
        |row| {
            Ok(PinnedPlugin {
                run: row.get("run")?,
                id: row.get("id")?,
                version: row.get("version")?,
                digest: row.get("digest")?,
                path: row.get("path")?,
            })
        },
    )
}

fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        id: row.get("id")?,
        project: row.get("project")?,
        workflow: row.get("workflow")?,
        workflow_digest: row.get("workflow_digest")?,
        source: row.get("source")?,
        inputs: json(row, "inputs")?,
        outputs: json_or_none(row, "outputs")?,
        state: row.get("state")?,
        actor: row.get("actor")?,
        created: row.get("created")?,
        started: row.get("started")?,
        finished: row.get("finished")?,
        error: json_or_none(row, "error")?,
        cancel_requested: row.get("cancel_requested")?,
        attention: row.get("attention")?,
        parent: row.get("parent")?,
        labels: json(row, "labels")?,
    })
}

fn step(row: &Row<'_>) -> rusqlite::Result<StepRecord> {
    Ok(StepRecord {
        run: row.get("run")?,
        step: row.get("step")?,
        position: row.get("position")?,
        state: row.get("state")?,
        attempt: row.get("attempt")?,
        failures: row.get("failures")?,
        compensation_attempt: row.get("compensation_attempt")?,
        plugin: row.get("plugin")?,
        input: json_or_none(row, "input")?,
        output: json_or_none(row, "output")?,
        error: json_or_none(row, "error")?,
        next_attempt_at: row.get("next_attempt_at")?,
        started: row.get("started")?,
        finished: row.get("finished")?,
        succeeded_event: row.get("succeeded_event")?,
    })
}
