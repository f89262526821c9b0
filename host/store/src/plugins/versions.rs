//! Versions: installed, listed, removed.

use rusqlite::{Connection, Row, params};
use serde_json::json;

use super::activations::going_on;
use super::tell;
use crate::error::Within;
use crate::event_kind;
use crate::sql::{Json, all, change, first, json};
use crate::{
    Durability, Event, NewAudit, NewPluginVersion, PluginVersion, Store, StoreError, audit,
};

/// Versions with the time since which each is active.
const VERSIONS: &str = "SELECT v.*, a.since AS active_since
    FROM plugin_versions AS v LEFT JOIN plugin_active AS a ON a.digest = v.digest";

impl Store {
    /// Writes down an installed version. One that is there already with the same digest
    /// stays, and gets these grants. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where this version number belongs to another digest, and
    /// those of every write.
    pub fn install_plugin(
        &self,
        new: &NewPluginVersion,
        audit: &NewAudit,
    ) -> Result<(PluginVersion, Vec<Event>), StoreError> {
        self.write(Durability::Power, |tx| {
            let known = named(tx, &new.id, &new.version)?;
            match known {
                Some(known) if known.digest != new.digest => {
                    return Err(StoreError::conflict(
                        "plugin",
                        format!("{}@{}", new.id, new.version),
                        format!(
                            "this version is installed with the digest {}, and this file has {}; give what is different a version number of its own",
                            known.digest, new.digest
                        ),
                    )
                    .into());
                }
                Some(known) if known.grants == new.grants => return Ok((known, Vec::new())),
                _ => {}
            }
            change(
                tx,
                "INSERT INTO plugin_versions (digest, id, version, kind, summary, size, imports,
                     wants, grants, installed, actor)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                 ON CONFLICT (digest) DO UPDATE SET grants = ?9",
                params![
                    new.digest,
                    new.id,
                    new.version,
                    new.kind,
                    new.summary,
                    i64::try_from(new.size).unwrap_or(i64::MAX),
                    Json(&new.imports),
                    Json(&new.wants),
                    Json(&new.grants),
                    tx.now,
                    audit.actor,
                ],
            )?;
            let data = json!({
                "version": new.version, "digest": new.digest, "actor": audit.actor,
                "grants": new.grants,
            });
            let events = tell(tx, &new.id, event_kind::PLUGIN_INSTALLED, data)?;
            audit::append(tx, audit)?;
            Ok((wanted(tx, &new.id, &new.version)?, events))
        })
    }

    /// The installed versions of one plugin, or of all, by id and then the newest
    /// installation first.
    ///
    /// # Errors
    /// Those of every read.
    pub fn plugin_versions(&self, plugin: Option<&str>) -> Result<Vec<PluginVersion>, StoreError> {
        self.read(|connection| {
            all(
                connection,
                &format!(
                    "{VERSIONS} WHERE ?1 IS NULL OR v.id = ?1
                     ORDER BY v.id, v.installed DESC, v.version DESC"
                ),
                [plugin],
                version,
            )
        })
    }

    /// One installed version.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and those of every read.
    pub fn plugin_version(&self, plugin: &str, number: &str) -> Result<PluginVersion, StoreError> {
        self.read(|connection| wanted(connection, plugin, number))
    }

    /// The installed version of this digest, if there is one.
    ///
    /// # Errors
    /// Those of every read.
    pub fn plugin_of_digest(&self, digest: &str) -> Result<Option<PluginVersion>, StoreError> {
        self.read(|connection| {
            first(
                connection,
                &format!("{VERSIONS} WHERE v.digest = ?1"),
                [digest],
                version,
            )
        })
    }

    /// The active version of each plugin that has one, by id.
    ///
    /// # Errors
    /// Those of every read.
    pub fn active_plugins(&self) -> Result<Vec<PluginVersion>, StoreError> {
        self.read(|connection| {
            all(
                connection,
                &format!("{VERSIONS} WHERE a.since IS NOT NULL ORDER BY v.id"),
                [],
                version,
            )
        })
    }

    /// The runs that pin this digest and have not ended, the oldest first, at most 100.
    ///
    /// # Errors
    /// Those of every read.
    pub fn runs_pinning(&self, digest: &str) -> Result<Vec<String>, StoreError> {
        self.read(|connection| pinning(connection, digest))
    }

    /// Removes an installed version. Says also whether a run that has ended pins it, so
    /// that its component is still of use. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it is active or being activated, or a run that has not
    /// ended pins it, [`StoreError::NotFound`], and those of every write.
    pub fn remove_plugin_version(
        &self,
        plugin: &str,
        number: &str,
        audit: &NewAudit,
    ) -> Result<(bool, Vec<Event>), StoreError> {
        self.write(Durability::Power, |tx| {
            let found = wanted(tx, plugin, number)?;
            let refuse =
                |why: String| StoreError::conflict("plugin", format!("{plugin}@{number}"), why);
            if found.active_since.is_some() {
                return Err(refuse(
                    "it is the active version; activate another one first".to_owned(),
                )
                .into());
            }
            let coming = going_on(tx, "to_digest", &found.digest)?;
            if let Some(activation) = coming {
                return Err(refuse(format!(
                    "the activation {activation} of it goes on; wait for its end"
                ))
                .into());
            }
            let runs = pinning(tx, &found.digest)?;
            if let Some(run) = runs.first() {
                let more = match runs.len() {
                    1 => String::new(),
                    more => format!(" and {} more", more.saturating_sub(1)),
                };
                return Err(refuse(format!(
                    "the run {run}{more} began with it and has not ended; let it end, or cancel it"
                ))
                .into());
            }
            change(
                tx,
                "DELETE FROM plugin_versions WHERE digest = ?1",
                [&found.digest],
            )?;
            let data = json!({
                "version": number, "digest": found.digest, "actor": audit.actor,
            });
            let events = tell(tx, plugin, event_kind::PLUGIN_REMOVED, data)?;
            audit::append(tx, audit)?;
            let needed = first(
                tx,
                "SELECT 1 FROM pinned_plugins WHERE digest = ?1 LIMIT 1",
                [&found.digest],
                |_| Ok(()),
            )?;
            Ok((needed.is_some(), events))
        })
    }

    /// Writes down plugins that an unfinished run uses beside those that it was created
    /// with: a step may choose its own.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the run, and those of every write.
    pub fn pin_plugins(&self, run: &str, pins: &[crate::NewPin]) -> Result<(), StoreError> {
        self.write(Durability::Power, |tx| {
            let known = first(tx, "SELECT 1 FROM runs WHERE id = ?1", [run], |_| Ok(()))?;
            if known.is_none() {
                return Err(StoreError::not_found("run", run).into());
            }
            for pin in pins {
                change(
                    tx,
                    "INSERT INTO pinned_plugins (run, id, version, digest, path)
                     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
                    params![run, pin.id, pin.version, pin.digest, pin.path],
                )?;
            }
            Ok(())
        })
    }
}

fn pinning(connection: &Connection, digest: &str) -> Within<Vec<String>> {
    all(
        connection,
        "SELECT DISTINCT p.run FROM pinned_plugins AS p JOIN runs AS r ON r.id = p.run
         WHERE p.digest = ?1 AND r.finished IS NULL ORDER BY p.run LIMIT 100",
        [digest],
        |row| row.get(0),
    )
}

fn named(connection: &Connection, plugin: &str, number: &str) -> Within<Option<PluginVersion>> {
    first(
        connection,
        &format!("{VERSIONS} WHERE v.id = ?1 AND v.version = ?2"),
        [plugin, number],
        version,
    )
}

/// One installed version, which has to be there.
pub(super) fn wanted(connection: &Connection, plugin: &str, number: &str) -> Within<PluginVersion> {
    Ok(named(connection, plugin, number)?
        .ok_or_else(|| StoreError::not_found("plugin", format!("{plugin}@{number}")))?)
}

fn version(row: &Row<'_>) -> rusqlite::Result<PluginVersion> {
    Ok(PluginVersion {
        id: row.get("id")?,
        version: row.get("version")?,
        digest: row.get("digest")?,
        kind: row.get("kind")?,
        summary: row.get("summary")?,
        size: row.get::<_, i64>("size")?.try_into().unwrap_or_default(),
        imports: json(row, "imports")?,
        wants: json(row, "wants")?,
        grants: json(row, "grants")?,
        installed: row.get("installed")?,
        actor: row.get("actor")?,
        active_since: row.get("active_since")?,
    })
}
