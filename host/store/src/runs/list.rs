//! Lists of runs.

use std::collections::BTreeMap;

use rusqlite::{Row, ToSql, params, params_from_iter};

use super::approvals::one_more;
use crate::error::Within;
use crate::sql::{Json, all, first, json, json_or_none};
use crate::{Page, PageRequest, RunFilter, RunState, RunSummary, StepCounts, Store, StoreError};

impl Store {
    /// The runs that fit `filter`, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a page that was not given out, and those of every read.
    pub fn runs(
        &self,
        filter: &RunFilter,
        page: &PageRequest,
    ) -> Result<Page<RunSummary>, StoreError> {
        let limit = page.checked_limit()?;
        let (conditions, values) = conditions(filter, page.id("run")?);
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT id, project, workflow, state, actor, created, started, finished, error,
                     cancel_requested, attention, parent, labels
                 FROM runs WHERE {conditions} ORDER BY id DESC LIMIT {}",
                one_more(limit)
            ))?;
            let mut found = statement
                .query_map(params_from_iter(values.iter()), summary)?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            for run in found.iter_mut().take(limit) {
                run.steps = step_counts(connection, &run.id)?;
            }
            Ok(Page::cut(found, limit, |run| run.id.clone()))
        })
    }

    /// How many runs are in each state; states of no run are left out.
    ///
    /// # Errors
    /// Those of every read.
    pub fn run_counts(&self) -> Result<BTreeMap<RunState, u64>, StoreError> {
        self.read(|connection| {
            let counts = all(
                connection,
                "SELECT state, count(*) FROM runs GROUP BY state",
                [],
                |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)),
            )?;
            Ok(counts
                .into_iter()
                .map(|(state, count)| (state, count.unsigned_abs()))
                .collect())
        })
    }

    /// The projects that have a run, a saved workflow, a secret or a role of their own.
    ///
    /// # Errors
    /// Those of every read.
    pub fn projects(&self) -> Result<Vec<String>, StoreError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT project FROM runs UNION SELECT project FROM workflows
                 UNION SELECT project FROM secrets UNION SELECT project FROM role_bindings
                 UNION SELECT project FROM grants
                 ORDER BY project",
                [],
                |row| row.get(0),
            )
            .map(|projects: Vec<String>| {
                projects
                    .into_iter()
                    .filter(|project| project != "*")
                    .collect()
            })
        })
    }
}

/// The WHERE clause of what is asked only, so that SQLite can choose its index.
fn conditions(filter: &RunFilter, cursor: Option<&str>) -> (String, Vec<Box<dyn ToSql>>) {
    let mut conditions = vec!["1"];
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    let mut add = |condition: &'static str, value: Box<dyn ToSql>| {
        conditions.push(condition);
        values.push(value);
    };
    if let Some(cursor) = cursor {
        add("id < ?", Box::new(cursor.to_owned()));
    }
    match filter.projects.as_deref() {
        None => {}
        Some([project]) => add("project = ?", Box::new(project.clone())),
        Some(projects) => add(
            "project IN (SELECT value FROM json_each(?))",
            Box::new(Json(projects.to_vec())),
        ),
    }
    match filter.states.as_slice() {
        [] => {}
        [state] => add("state = ?", Box::new(*state)),
        states => add(
            "state IN (SELECT value FROM json_each(?))",
            Box::new(Json(states.to_vec())),
        ),
    }
    if let Some(workflow) = &filter.workflow {
        add("workflow = ?", Box::new(workflow.clone()));
    }
    if let Some(actor) = &filter.actor {
        add("actor = ?", Box::new(actor.clone()));
    }
    if let Some(parent) = &filter.parent {
        add("parent = ?", Box::new(parent.clone()));
    }
    if let Some(since) = filter.since {
        add("created >= ?", Box::new(since));
    }
    if let Some(until) = filter.until {
        add("created < ?", Box::new(until));
    }
    if !filter.labels.is_empty() {
        add(
            "NOT EXISTS (SELECT 1 FROM json_each(?) AS wanted WHERE NOT EXISTS
                (SELECT 1 FROM json_each(labels) AS label
                 WHERE label.key = wanted.key AND label.value = wanted.value))",
            Box::new(Json(filter.labels.clone())),
        );
    }
    (conditions.join(" AND "), values)
}

fn summary(row: &Row<'_>) -> rusqlite::Result<RunSummary> {
    Ok(RunSummary {
        id: row.get("id")?,
        project: row.get("project")?,
        workflow: row.get("workflow")?,
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
        steps: StepCounts::default(),
    })
}

fn step_counts(connection: &rusqlite::Connection, run: &str) -> Within<StepCounts> {
    let counts = first(
        connection,
        "SELECT count(*),
             count(*) FILTER (WHERE state IN ('succeeded', 'compensated')),
             count(*) FILTER (WHERE state IN ('failed', 'compensation-failed')),
             count(*) FILTER (WHERE state IN ('skipped', 'cancelled')),
             count(*) FILTER (WHERE state IN ('running', 'compensating'))
         FROM steps WHERE run = ?1",
        params![run],
        |row| {
            Ok(StepCounts {
                total: row.get(0)?,
                succeeded: row.get(1)?,
                failed: row.get(2)?,
                skipped: row.get(3)?,
                running: row.get(4)?,
            })
        },
    )?;
    Ok(counts.unwrap_or_default())
}
