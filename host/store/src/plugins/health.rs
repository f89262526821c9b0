//! Crashes, and versions that crashed too often.

use rusqlite::params;
use serde_json::json;

use super::tell;
use crate::event_kind;
use crate::runs::release_steps;
use crate::sql::{all, change};
use crate::{Crash, Durability, Event, NewAudit, Quarantine, Store, StoreError, Time, audit};

/// How many crashes of a version are kept.
const KEPT: i64 = 100;

impl Store {
    /// Writes down a crash of a version. The oldest beyond a hundred are forgotten.
    ///
    /// # Errors
    /// Those of every write.
    pub fn record_crash(
        &self,
        plugin: &str,
        digest: &str,
        crash: &Crash,
    ) -> Result<(), StoreError> {
        self.write(Durability::Process, |tx| {
            change(
                tx,
                "INSERT INTO plugin_crashes (plugin, digest, call, reason, run, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    plugin,
                    digest,
                    crash.call,
                    crash.reason,
                    crash.run,
                    crash.at
                ],
            )?;
            change(
                tx,
                "DELETE FROM plugin_crashes WHERE digest = ?1 AND id <= (
                     SELECT id FROM plugin_crashes WHERE digest = ?1
                     ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                params![digest, KEPT],
            )?;
            Ok(())
        })
    }

    /// The crashes of a version since then, the newest first, as far as they are kept.
    ///
    /// # Errors
    /// Those of every read.
    pub fn crashes(&self, digest: &str, since: Time) -> Result<Vec<Crash>, StoreError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT call, reason, run, at FROM plugin_crashes
                 WHERE digest = ?1 AND at >= ?2 ORDER BY id DESC",
                params![digest, since],
                |row| {
                    Ok(Crash {
                        call: row.get(0)?,
                        reason: row.get(1)?,
                        run: row.get(2)?,
                        at: row.get(3)?,
                    })
                },
            )
        })
    }

    /// The versions with crashes that are kept, as plugin and digest, also those that are of
    /// a plugin folder.
    ///
    /// # Errors
    /// Those of every read.
    pub fn crashed_versions(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT DISTINCT plugin, digest FROM plugin_crashes ORDER BY plugin, digest",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
        })
    }

    /// Writes that a version is not to be called any more. One that is in quarantine
    /// already stays there, and no event is written. Survives the end of the process, as the
    /// crashes do that led to it.
    ///
    /// # Errors
    /// Those of every write.
    pub fn quarantine_plugin(&self, new: &Quarantine) -> Result<Vec<Event>, StoreError> {
        self.write(Durability::Process, |tx| {
            let written = change(
                tx,
                "INSERT INTO plugin_quarantines (digest, plugin, version, reason, since)
                 VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
                params![new.digest, new.plugin, new.version, new.reason, new.since],
            )?;
            if written == 0 {
                return Ok(Vec::new());
            }
            let data = json!({
                "version": new.version, "digest": new.digest, "reason": new.reason,
            });
            tell(tx, &new.plugin, event_kind::PLUGIN_QUARANTINED, data)
        })
    }

    /// The versions in quarantine, by plugin.
    ///
    /// # Errors
    /// Those of every read.
    pub fn quarantines(&self) -> Result<Vec<Quarantine>, StoreError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT * FROM plugin_quarantines ORDER BY plugin, digest",
                [],
                |row| {
                    Ok(Quarantine {
                        plugin: row.get("plugin")?,
                        version: row.get("version")?,
                        digest: row.get("digest")?,
                        reason: row.get("reason")?,
                        since: row.get("since")?,
                    })
                },
            )
        })
    }

    /// Lets a version be called again, forgets its crashes, and lets the steps go on that
    /// wait for it. Says the runs of those steps. Also where it is not in quarantine: a
    /// step may have been parked a moment after the version was released. Survives the
    /// loss of power.
    ///
    /// # Errors
    /// Those of every write.
    pub fn release_plugin(
        &self,
        digest: &str,
        audit: Option<&NewAudit>,
    ) -> Result<(Vec<String>, Vec<Event>), StoreError> {
        self.write(Durability::Power, |tx| {
            let mut events = Vec::new();
            if let Some(audit) = audit {
                let was = all(
                    tx,
                    "DELETE FROM plugin_quarantines WHERE digest = ?1 RETURNING plugin, version",
                    [digest],
                    |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
                )?;
                change(tx, "DELETE FROM plugin_crashes WHERE digest = ?1", [digest])?;
                for (plugin, version) in was {
                    let data = json!({
                        "version": version, "digest": digest, "actor": audit.actor,
                    });
                    events.extend(tell(tx, &plugin, event_kind::PLUGIN_RELEASED, data)?);
                }
                audit::append(tx, audit)?;
            }
            let (runs, more) = release_steps(tx, digest)?;
            events.extend(more);
            Ok((runs, events))
        })
    }

    /// The runs with a step that waits for a version in quarantine, the oldest first.
    ///
    /// # Errors
    /// Those of every read.
    pub fn runs_waiting_for(&self, digest: &str) -> Result<Vec<String>, StoreError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT DISTINCT run FROM steps WHERE state = 'needs-attention'
                 AND error ->> '$.waits_for' = ?1 ORDER BY run",
                [digest],
                |row| row.get(0),
            )
        })
    }
}
