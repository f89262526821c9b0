//! The logs of runs.

use rusqlite::{Row, params};

use crate::journal::check_limit;
use crate::sql::{Json, all, change, json};
use crate::{Durability, LogFilter, LogLevel, LogLine, NewLogLine, Store, StoreError};

impl Store {
    /// Adds lines, of any runs, in one transaction; says them with their ids.
    ///
    /// # Errors
    /// Those of every write.
    pub fn append_log(&self, lines: Vec<NewLogLine>) -> Result<Vec<LogLine>, StoreError> {
        if lines.is_empty() {
            return Ok(Vec::new());
        }
        self.write(Durability::Process, |tx| {
            let mut written = Vec::with_capacity(lines.len());
            for line in lines {
                change(
                    tx,
                    "INSERT INTO logs (id, run, step, plugin, level, message, fields, at)
                     VALUES (max((SELECT coalesce(max(id), 0) + 1 FROM logs),
                         (SELECT first FROM numbers WHERE name = 'logs')),
                 ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        line.run,
                        line.step,
                        line.plugin,
                        rank(line.level),
                        line.message,
                        Json(&line.fields),
                        line.at
                    ],
                )?;
                written.push(LogLine {
                    id: tx.last_insert_rowid(),
                    run: line.run,
                    step: line.step,
                    plugin: line.plugin,
                    level: line.level,
                    message: line.message,
                    fields: line.fields,
                    at: line.at,
                });
            }
            Ok(written)
        })
    }

    /// The lines of a run after the one with id `after` (0 for the first), ascending, at
    /// most `limit` (up to [`PAGE_LIMIT`](crate::PAGE_LIMIT)).
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a limit out of range, and those of every read.
    pub fn logs(
        &self,
        run: &str,
        after: i64,
        filter: &LogFilter,
        limit: u32,
    ) -> Result<Vec<LogLine>, StoreError> {
        check_limit(limit)?;
        self.read(|connection| {
            all(
                connection,
                "SELECT * FROM logs WHERE run = ?1 AND id > ?2
                 AND (?3 IS NULL OR step = ?3) AND (?4 IS NULL OR plugin = ?4)
                 AND (?5 IS NULL OR level >= ?5)
                 AND (?6 IS NULL OR instr(message, ?6) > 0)
                 ORDER BY id LIMIT ?7",
                params![
                    run,
                    after,
                    filter.step,
                    filter.plugin,
                    filter.level.map(rank),
                    filter.contains,
                    limit
                ],
                line,
            )
        })
    }
}

/// The number that a level is stored as, so that levels compare.
fn rank(level: LogLevel) -> i64 {
    LogLevel::ALL
        .iter()
        .position(|each| *each == level)
        .and_then(|position| i64::try_from(position).ok())
        .unwrap_or(0)
}

fn line(row: &Row<'_>) -> rusqlite::Result<LogLine> {
    let rank: i64 = row.get("level")?;
    let level = usize::try_from(rank)
        .ok()
        .and_then(|rank| LogLevel::ALL.get(rank))
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(4, rank))?;
    Ok(LogLine {
        id: row.get("id")?,
        run: row.get("run")?,
        step: row.get("step")?,
        plugin: row.get("plugin")?,
        level: *level,
        message: row.get("message")?,
        fields: json(row, "fields")?,
        at: row.get("at")?,
    })
}
