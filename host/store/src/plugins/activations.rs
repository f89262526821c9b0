//! Activations: begun, stage by stage, published, ended.

use rusqlite::{Connection, Row, params};
use serde_json::{Value, json};

use super::tell;
use crate::error::Within;
use crate::event_kind;
use crate::runs::one_more;
use crate::sql::{all, change, first};
use crate::store::Tx;
use crate::{
    Activation, ActivationOutcome, Durability, Event, NewActivation, NewAudit, Page, PageRequest,
    Stage, Store, StoreError, VersionName, audit,
};

impl Store {
    /// Writes down that an activation begins.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where another one of the plugin has not come to its
    /// publishing, [`StoreError::NotFound`] for the version, and those of every write.
    pub fn begin_activation(
        &self,
        new: &NewActivation,
        audit: &NewAudit,
    ) -> Result<Activation, StoreError> {
        self.write(Durability::Process, |tx| {
            let other = going_on(tx, "plugin", &new.plugin)?;
            if let Some(other) = other {
                return Err(StoreError::conflict(
                    "plugin",
                    &new.plugin,
                    format!("the activation {other} goes on; wait for its end"),
                )
                .into());
            }
            if let Some(to) = &new.to {
                super::versions::wanted(tx, &new.plugin, &to.version)?;
            }
            let (from, to) = (new.from.as_ref(), new.to.as_ref());
            change(
                tx,
                "INSERT INTO plugin_activations (id, plugin, cause, actor, from_version,
                     from_digest, to_version, to_digest, stage, outcome, started)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'going-on', ?10)",
                params![
                    new.id,
                    new.plugin,
                    new.cause,
                    audit.actor,
                    from.map(|from| &from.version),
                    from.map(|from| &from.digest),
                    to.map(|to| &to.version),
                    to.map(|to| &to.digest),
                    Stage::Verify,
                    tx.now,
                ],
            )?;
            audit::append(tx, audit)?;
            read(tx, &new.id)
        })
    }

    /// Writes that a stage of an activation began, or passed with `detail`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the activation has ended, [`StoreError::NotFound`],
    /// and those of every write.
    pub fn activation_stage(
        &self,
        activation: &str,
        stage: Stage,
        passed: Option<Value>,
    ) -> Result<Vec<Event>, StoreError> {
        self.write(Durability::Process, |tx| {
            let found = open(tx, activation)?;
            change(
                tx,
                "UPDATE plugin_activations SET stage = ?2 WHERE id = ?1",
                params![activation, stage],
            )?;
            let (state, detail) = match passed {
                Some(detail) => ("passed", detail),
                None => ("began", json!({})),
            };
            tell_stage(tx, &found, stage, state, detail)
        })
    }

    /// Writes that the new version is the active one: from this row on, and after every
    /// restart. Survives the loss of power.
    ///
    /// # Errors
    /// Those of [`Store::activation_stage`].
    pub fn publish_activation(&self, activation: &str) -> Result<Vec<Event>, StoreError> {
        self.write(Durability::Power, |tx| {
            let found = open(tx, activation)?;
            match &found.to {
                Some(to) => change(
                    tx,
                    "INSERT INTO plugin_active (id, digest, activation, since)
                     VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (id) DO UPDATE SET digest = ?2, activation = ?3, since = ?4",
                    params![found.plugin, to.digest, activation, tx.now],
                )?,
                None => change(
                    tx,
                    "DELETE FROM plugin_active WHERE id = ?1",
                    [&found.plugin],
                )?,
            };
            change(
                tx,
                "UPDATE plugin_activations SET outcome = 'active' WHERE id = ?1",
                [activation],
            )?;
            let mut events = tell_stage(tx, &found, Stage::Publish, "passed", json!({}))?;
            events.extend(tell(
                tx,
                &found.plugin,
                event_kind::PLUGIN_ACTIVATED,
                named(&found),
            )?);
            Ok(events)
        })
    }

    /// Writes that an activation has ended: as a failure for this reason, or, after its
    /// publishing, with all old calls ended. Survives the loss of power.
    ///
    /// # Errors
    /// Those of [`Store::activation_stage`].
    pub fn end_activation(
        &self,
        activation: &str,
        failure: Option<&str>,
    ) -> Result<(Activation, Vec<Event>), StoreError> {
        self.write(Durability::Power, |tx| {
            let found = open(tx, activation)?;
            let events = end(tx, &found, failure)?;
            Ok((read(tx, activation)?, events))
        })
    }

    /// Ends what a host left going on that was killed: what was not published has failed,
    /// what was published is active.
    ///
    /// # Errors
    /// Those of every write.
    pub fn end_interrupted_activations(&self) -> Result<Vec<Event>, StoreError> {
        self.write(Durability::Process, |tx| {
            let left = all(
                tx,
                "SELECT * FROM plugin_activations WHERE finished IS NULL ORDER BY id",
                [],
                activation,
            )?;
            let mut events = Vec::new();
            for found in left {
                let failure = (found.outcome == ActivationOutcome::GoingOn)
                    .then_some("the host was stopped meanwhile; activate it again");
                events.extend(end(tx, &found, failure)?);
            }
            Ok(events)
        })
    }

    /// One activation.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and those of every read.
    pub fn activation(&self, id: &str) -> Result<Activation, StoreError> {
        self.read(|connection| read(connection, id))
    }

    /// The activations of a plugin, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a page that was not given out, and those of every read.
    pub fn activations(
        &self,
        plugin: &str,
        page: &PageRequest,
    ) -> Result<Page<Activation>, StoreError> {
        let limit = page.checked_limit()?;
        let before = page.id("act")?;
        self.read(|connection| {
            let found = all(
                connection,
                "SELECT * FROM plugin_activations
                 WHERE plugin = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3",
                params![plugin, before, one_more(limit)],
                activation,
            )?;
            Ok(Page::cut(found, limit, |activation| activation.id.clone()))
        })
    }
}

fn end(tx: &Tx<'_>, found: &Activation, failure: Option<&str>) -> Within<Vec<Event>> {
    let outcome = match failure {
        Some(_) => ActivationOutcome::Failed,
        None => ActivationOutcome::Active,
    };
    if outcome != found.outcome && found.outcome != ActivationOutcome::GoingOn {
        return Err(StoreError::conflict(
            "activation",
            &found.id,
            "it is published, and cannot fail any more",
        )
        .into());
    }
    change(
        tx,
        "UPDATE plugin_activations SET outcome = ?2, reason = ?3, finished = ?4 WHERE id = ?1",
        params![found.id, outcome, failure, tx.now],
    )?;
    let Some(reason) = failure else {
        return tell_stage(tx, found, found.stage, "passed", json!({}));
    };
    let mut events = tell_stage(
        tx,
        found,
        found.stage,
        "failed",
        json!({ "reason": reason }),
    )?;
    let mut data = named(found);
    if let Value::Object(data) = &mut data {
        data.insert("stage".to_owned(), json!(found.stage));
        data.insert("reason".to_owned(), json!(reason));
    }
    events.extend(tell(
        tx,
        &found.plugin,
        event_kind::PLUGIN_ACTIVATION_FAILED,
        data,
    )?);
    Ok(events)
}

fn named(activation: &Activation) -> Value {
    json!({
        "activation": activation.id,
        "cause": activation.cause,
        "from": activation.from,
        "to": activation.to,
    })
}

fn tell_stage(
    tx: &Tx<'_>,
    activation: &Activation,
    stage: Stage,
    state: &str,
    detail: Value,
) -> Within<Vec<Event>> {
    let mut data = named(activation);
    if let Value::Object(data) = &mut data {
        data.insert("stage".to_owned(), json!(stage));
        data.insert("state".to_owned(), json!(state));
        data.insert("detail".to_owned(), detail);
    }
    tell(tx, &activation.plugin, event_kind::PLUGIN_STAGE, data)
}

fn read(connection: &Connection, id: &str) -> Within<Activation> {
    let found = first(
        connection,
        "SELECT * FROM plugin_activations WHERE id = ?1",
        [id],
        activation,
    )?;
    Ok(found.ok_or_else(|| StoreError::not_found("activation", id))?)
}

/// An activation that has not ended.
fn open(tx: &Tx<'_>, id: &str) -> Within<Activation> {
    let found = read(tx, id)?;
    if found.finished.is_some() {
        return Err(StoreError::conflict("activation", id, "it has ended").into());
    }
    Ok(found)
}

fn activation(row: &Row<'_>) -> rusqlite::Result<Activation> {
    let version = |number: &str, digest: &str| -> rusqlite::Result<Option<VersionName>> {
        let (number, digest): (Option<String>, Option<String>) =
            (row.get(number)?, row.get(digest)?);
        Ok(number
            .zip(digest)
            .map(|(version, digest)| VersionName { version, digest }))
    };
    Ok(Activation {
        id: row.get("id")?,
        plugin: row.get("plugin")?,
        cause: row.get("cause")?,
        actor: row.get("actor")?,
        from: version("from_version", "from_digest")?,
        to: version("to_version", "to_digest")?,
        stage: row.get("stage")?,
        outcome: row.get("outcome")?,
        reason: row.get("reason")?,
        started: row.get("started")?,
        finished: row.get("finished")?,
    })
}

/// The activation that has not come to its publishing and whose `column`, `plugin` or
/// `to_digest`, is this.
pub(super) fn going_on(
    connection: &Connection,
    column: &'static str,
    value: &str,
) -> Within<Option<String>> {
    first(
        connection,
        &format!(
            "SELECT id FROM plugin_activations
             WHERE {column} = ?1 AND finished IS NULL AND outcome = 'going-on'"
        ),
        [value],
        |row| row.get(0),
    )
}
