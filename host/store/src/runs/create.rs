//! Writing down a run.

use rusqlite::params;
use serde_json::json;

use super::artifacts;
use crate::error::{Failure, Within, is_duplicate};
use crate::event_kind;
use crate::journal::Journal;
use crate::sql::{Json, change};
use crate::store::Tx;
use crate::{Durability, Event, NewAudit, NewRun, RunState, Store, StoreError, audit};

impl Store {
    /// Writes down a run with its steps, plugins and input files, all of it pending.
    /// Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::Exists`] for an id that is taken, [`StoreError::Invalid`] for two
    /// steps of one name, [`StoreError::NotFound`] for an idempotency key that was not
    /// claimed, and those of every write.
    pub fn create_run(&self, run: &NewRun, audit: &NewAudit) -> Result<Vec<Event>, StoreError> {
        self.write(Durability::Power, |tx| {
            insert_run(tx, run)?;
            let mut journal = Journal::of(&run.id, &run.project);
            journal.write(
                tx,
                None,
                None,
                event_kind::RUN_CREATED,
                json!({ "workflow": run.workflow }),
            )?;
            for (position, step) in run.steps.iter().enumerate() {
                let inserted = change(
                    tx,
                    "INSERT INTO steps (run, step, position, state, plugin)
                     VALUES (?1, ?2, ?3, 'pending', ?4)",
                    params![
                        run.id,
                        step.step,
                        u32::try_from(position).unwrap_or(u32::MAX),
                        step.plugin
                    ],
                );
                unless_duplicate(inserted, || {
                    StoreError::invalid("steps", format!("two are called `{}`", step.step))
                })?;
            }
            for plugin in &run.plugins {
                // A plugin that several steps use is pinned once.
                change(
                    tx,
                    "INSERT INTO pinned_plugins (run, id, version, digest, path)
                     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
                    params![
                        run.id,
                        plugin.id,
                        plugin.version,
                        plugin.digest,
                        plugin.path
                    ],
                )?;
            }
            for artifact in &run.artifacts {
                artifacts::record(tx, &mut journal, artifact)?;
            }
            if let Some(claim) = &run.idempotency {
                audit::attach_run(tx, claim, &run.id)?;
            }
            audit::append(tx, audit)?;
            Ok(journal.events)
        })
    }
}

fn insert_run(tx: &Tx<'_>, run: &NewRun) -> Within<()> {
    let inserted = change(
        tx,
        "INSERT INTO runs (id, project, workflow, workflow_digest, source, inputs, state,
             actor, created, parent, labels)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            run.id,
            run.project,
            run.workflow,
            run.workflow_digest,
            run.source,
            Json(&run.inputs),
            RunState::Pending,
            run.actor,
            tx.now,
            run.parent,
            Json(&run.labels),
        ],
    );
    unless_duplicate(inserted, || StoreError::Exists {
        what: "run",
        id: run.id.clone(),
    })
}

/// What an insertion did; `otherwise` where a row of the same key exists.
pub(crate) fn unless_duplicate(
    inserted: Within<usize>,
    otherwise: impl FnOnce() -> StoreError,
) -> Within<()> {
    match inserted {
        Ok(_) => Ok(()),
        Err(Failure::Sql(error)) if is_duplicate(&error) => Err(otherwise().into()),
        Err(failure) => Err(failure),
    }
}
