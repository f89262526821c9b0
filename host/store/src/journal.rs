//! The journal of all runs.

use rusqlite::{Connection, Row, params};
use serde_json::Value;

use crate::error::Within;
use crate::sql::{Json, all, change, first, json, prefix_range};
use crate::store::Tx;
use crate::{Event, EventFilter, PAGE_LIMIT, Store, StoreError};

/// Whose events are written, and where they are gathered.
pub(crate) struct Journal<'a> {
    /// The run.
    pub(crate) run: &'a str,
    /// Its project.
    pub(crate) project: &'a str,
    /// What was written in this transaction.
    pub(crate) events: Vec<Event>,
}

impl<'a> Journal<'a> {
    /// A journal of `run`, which belongs to `project`.
    pub(crate) fn of(run: &'a str, project: &'a str) -> Self {
        Self {
            run,
            project,
            events: Vec::new(),
        }
    }

    /// Writes one event; says its id.
    pub(crate) fn write(
        &mut self,
        tx: &Tx<'_>,
        step: Option<&str>,
        attempt: Option<u32>,
        kind: &str,
        data: Value,
    ) -> Within<i64> {
        change(
            tx,
            "INSERT INTO events (id, run, project, step, attempt, at, kind, data)
             VALUES (max((SELECT coalesce(max(id), 0) + 1 FROM events),
                         (SELECT first FROM numbers WHERE name = 'events')),
                 ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                self.run,
                self.project,
                step,
                attempt,
                tx.now,
                kind,
                Json(&data)
            ],
        )?;
        let id = tx.last_insert_rowid();
        self.events.push(Event {
            id,
            run: self.run.to_owned(),
            project: self.project.to_owned(),
            step: step.map(str::to_owned),
            attempt,
            at: tx.now,
            kind: kind.to_owned(),
            data,
        });
        Ok(id)
    }
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        id: row.get("id")?,
        run: row.get("run")?,
        project: row.get("project")?,
        step: row.get("step")?,
        attempt: row.get("attempt")?,
        at: row.get("at")?,
        kind: row.get("kind")?,
        data: json(row, "data")?,
    })
}

/// How many events are looked through at most for one that fits.
const SCANNED: i64 = 20_000;

impl Store {
    /// The events after the one with id `after` (0 for the first), ascending, at most
    /// `limit` (up to [`PAGE_LIMIT`]).
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a limit out of range, and those of every read.
    pub fn events(
        &self,
        after: i64,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        check_limit(limit)?;
        self.read(|connection| {
            let newest = newest_event(connection)?;
            let mut after = after;
            let mut found = Vec::new();
            // In pieces, so that a filter that nothing fits keeps no long list.
            while after < newest && found.len() < limit as usize {
                let until = match filter.run {
                    Some(_) => newest,
                    None => newest.min(after.saturating_add(SCANNED)),
                };
                let wanted = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
                found.extend(between(connection, after, until, filter, wanted)?);
                after = until;
            }
            Ok(found)
        })
    }

    /// The id of the newest event of all runs; 0 if there is none.
    ///
    /// # Errors
    /// Those of every read.
    pub fn newest_event(&self) -> Result<i64, StoreError> {
        self.read(newest_event)
    }
}

fn newest_event(connection: &Connection) -> Within<i64> {
    let newest = first(connection, "SELECT max(id) FROM events", [], |row| {
        row.get::<_, Option<i64>>(0)
    })?;
    Ok(newest.flatten().unwrap_or(0))
}

fn between(
    connection: &Connection,
    after: i64,
    until: i64,
    filter: &EventFilter,
    limit: u32,
) -> Within<Vec<Event>> {
    // Exact kinds are their own range.
    let kinds: Vec<(String, String)> = filter
        .kinds
        .iter()
        .map(|kind| {
            if kind.ends_with('.') {
                prefix_range(kind)
            } else {
                (kind.clone(), kind.clone())
            }
        })
        .collect();
    let by_run = if filter.run.is_some() {
        "AND run = ?3"
    } else {
        "AND ?3 IS NULL"
    };
    all(
        connection,
        &format!(
            "SELECT * FROM events WHERE id > ?1 AND id <= ?2 {by_run}
             AND (?4 IS NULL OR project IN (SELECT value FROM json_each(?4)))
             AND (?5 IS NULL OR EXISTS (SELECT 1 FROM json_each(?5) AS wanted
                  WHERE kind BETWEEN wanted.value ->> 0 AND wanted.value ->> 1))
             ORDER BY id LIMIT ?6"
        ),
        params![
            after,
            until,
            filter.run,
            filter.projects.as_ref().map(Json),
            (!kinds.is_empty()).then_some(Json(&kinds)),
            limit,
        ],
        event,
    )
}

/// Refuses a limit out of range.
pub(crate) fn check_limit(limit: u32) -> Result<(), StoreError> {
    if limit == 0 || limit > PAGE_LIMIT {
        return Err(StoreError::invalid(
            "limit",
            format!("{limit} is not within 1 to {PAGE_LIMIT}"),
        ));
    }
    Ok(())
}
