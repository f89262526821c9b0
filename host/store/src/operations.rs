//! Host operations: what has an effect outside is begun once per key.

use rusqlite::{Connection, Row, params};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::Within;
use crate::event_kind;
use crate::journal::Journal;
use crate::sql::{Json, all, change, first, json as json_column, json_or_none};
use crate::store::Tx;
use crate::{
    Durability, Event, Operation, OperationBegun, OperationState, StepState, Store, StoreError,
};

/// The key of the operation `name` of a step: the first 32 hexadecimal digits of the
/// SHA-256 of run, step and name, each but the last followed by a zero byte. Where
/// `abandoned` operations of this name were given up before, a zero byte and their number
/// in decimal digits follow.
pub fn operation_key(run: &str, step: &str, name: &str, abandoned: u32) -> String {
    let mut hash = Sha256::new();
    for part in [run, "\0", step, "\0", name] {
        hash.update(part);
    }
    if abandoned > 0 {
        hash.update("\0");
        hash.update(abandoned.to_string());
    }
    let mut key = hex::encode(hash.finalize());
    key.truncate(32);
    key
}

impl Store {
    /// Begins a host operation, or says what is known of it. Recorded before it has any
    /// effect, it survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the step is not executed now, or the operation of
    /// this name was begun with another request; [`StoreError::NotFound`], and those of
    /// every write.
    pub fn begin_operation(
        &self,
        run: &str,
        step: &str,
        name: &str,
        request: &Value,
    ) -> Result<(OperationBegun, Vec<Event>), StoreError> {
        self.write(Durability::Power, |tx| {
            let (project, attempt) = executed_step(tx, run, step)?;
            let known = all(
                tx,
                "SELECT * FROM operations WHERE run = ?1 AND step = ?2 AND name = ?3",
                [run, step, name],
                operation,
            )?;
            let abandoned = known
                .iter()
                .filter(|operation| operation.state == OperationState::Abandoned)
                .count();
            let alive = known
                .into_iter()
                .find(|operation| operation.state != OperationState::Abandoned);
            if let Some(operation) = alive {
                return Ok((begun_before(operation, request)?, Vec::new()));
            }
            let abandoned = u32::try_from(abandoned).unwrap_or(u32::MAX);
            let key = operation_key(run, step, name, abandoned);
            change(
                tx,
                "INSERT INTO operations (key, run, step, name, request, state, started)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    key,
                    run,
                    step,
                    name,
                    Json(request),
                    OperationState::Started,
                    tx.now
                ],
            )?;
            let mut journal = Journal::of(run, &project);
            journal.write(
                tx,
                Some(step),
                Some(attempt),
                event_kind::OPERATION_STARTED,
                json!({ "name": name, "key": key }),
            )?;
            Ok((OperationBegun::New { key }, journal.events))
        })
    }

    /// Records an operation's result. Recording the same result again changes nothing.
    /// Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it has ended otherwise, [`StoreError::NotFound`], and
    /// those of every write.
    pub fn finish_operation(&self, key: &str, result: &Value) -> Result<Vec<Event>, StoreError> {
        self.write(Durability::Power, |tx| {
            let operation = by_key(tx, key)?;
            if operation.state == OperationState::Finished
                && operation.result.as_ref() == Some(result)
            {
                return Ok(Vec::new());
            }
            require_started(&operation)?;
            end(tx, &operation, OperationState::Finished, Some(result))
        })
    }

    /// Records that nothing is known about an operation's end. Again recorded, it changes
    /// nothing. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where its end is known, [`StoreError::NotFound`], and those
    /// of every write.
    pub fn lose_operation(&self, key: &str) -> Result<Vec<Event>, StoreError> {
        self.write(Durability::Power, |tx| {
            let operation = by_key(tx, key)?;
            if operation.state == OperationState::Lost {
                return Ok(Vec::new());
            }
            require_started(&operation)?;
            end(tx, &operation, OperationState::Lost, None)
        })
    }

    /// Gives up an operation that was stopped before its end: the next begin of its name
    /// makes a new one. Again given up, it changes nothing. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it has ended, [`StoreError::NotFound`], and those of
    /// every write.
    pub fn abandon_operation(&self, key: &str) -> Result<Vec<Event>, StoreError> {
        self.write(Durability::Power, |tx| {
            let operation = by_key(tx, key)?;
            if operation.state == OperationState::Abandoned {
                return Ok(Vec::new());
            }
            require_started(&operation)?;
            end(tx, &operation, OperationState::Abandoned, None)
        })
    }

    /// An operation by its key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and those of every read.
    pub fn operation(&self, key: &str) -> Result<Operation, StoreError> {
        self.read(|connection| by_key(connection, key))
    }

    /// The operations of a run, in the order of their beginning.
    ///
    /// # Errors
    /// Those of every read.
    pub fn operations(&self, run: &str) -> Result<Vec<Operation>, StoreError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT * FROM operations WHERE run = ?1 ORDER BY started, step, name",
                [run],
                operation,
            )
        })
    }
}

/// The project of `run` and the attempt of `step`, which must be executed now.
fn executed_step(tx: &Tx<'_>, run: &str, step: &str) -> Within<(String, u32)> {
    let found = first(
        tx,
        "SELECT runs.project, steps.state,
             CASE steps.state WHEN 'compensating' THEN compensation_attempt ELSE attempt END
         FROM steps JOIN runs ON runs.id = steps.run WHERE steps.run = ?1 AND step = ?2",
        [run, step],
        |row| Ok((row.get(0)?, row.get::<_, StepState>(1)?, row.get(2)?)),
    )?;
    let id = || format!("{run}/{step}");
    let Some((project, state, attempt)) = found else {
        return Err(StoreError::not_found("step", id()).into());
    };
    if !state.is_active() {
        let why = format!("it is {state}, so it can begin no operation");
        return Err(StoreError::conflict("step", id(), why).into());
    }
    Ok((project, attempt))
}

fn begun_before(operation: Operation, request: &Value) -> Within<OperationBegun> {
    if operation.request != *request {
        let why = "it was begun before with another request; an operation's name is unique in \
                   its step"
            .to_owned();
        return Err(StoreError::conflict("operation", operation.name, why).into());
    }
    let key = operation.key;
    Ok(match (operation.state, operation.result) {
        (OperationState::Finished, Some(result)) => OperationBegun::Finished { key, result },
        (OperationState::Lost, _) => OperationBegun::Lost { key },
        _ => OperationBegun::Started { key },
    })
}

fn require_started(operation: &Operation) -> Within<()> {
    if operation.state == OperationState::Started {
        return Ok(());
    }
    let why = format!("it is {} already", operation.state);
    Err(StoreError::conflict("operation", &operation.key, why).into())
}

fn end(
    tx: &Tx<'_>,
    operation: &Operation,
    state: OperationState,
    result: Option<&Value>,
) -> Within<Vec<Event>> {
    change(
        tx,
        "UPDATE operations SET state = ?2, result = ?3, finished = ?4 WHERE key = ?1",
        params![operation.key, state, result.map(Json), tx.now],
    )?;
    let project = first(
        tx,
        "SELECT project FROM runs WHERE id = ?1",
        [&operation.run],
        |row| row.get::<_, String>(0),
    )?
    .unwrap_or_default();
    let mut journal = Journal::of(&operation.run, &project);
    write_event(tx, &mut journal, operation, state)?;
    Ok(journal.events)
}

fn write_event(
    tx: &Tx<'_>,
    journal: &mut Journal<'_>,
    operation: &Operation,
    state: OperationState,
) -> Within<()> {
    let kind = match state {
        OperationState::Started => event_kind::OPERATION_STARTED,
        OperationState::Finished => event_kind::OPERATION_FINISHED,
        OperationState::Lost => event_kind::OPERATION_LOST,
        OperationState::Abandoned => event_kind::OPERATION_ABANDONED,
    };
    let data = json!({ "name": operation.name, "key": operation.key });
    journal.write(tx, Some(&operation.step), None, kind, data)?;
    Ok(())
}

/// Which operations of a step are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those whose end is not known.
    Lost,
    /// All of them.
    All,
}

/// Gives up operations of a step of the journal's run.
pub(crate) fn abandon(
    tx: &Tx<'_>,
    journal: &mut Journal<'_>,
    step: &str,
    which: Which,
) -> Within<()> {
    let alive = all(
        tx,
        "SELECT * FROM operations WHERE run = ?1 AND step = ?2 AND state <> 'abandoned'
         AND (?3 OR state = 'lost') ORDER BY name",
        params![journal.run, step, which == Which::All],
        operation,
    )?;
    for operation in alive {
        change(
            tx,
            "UPDATE operations SET state = ?2, finished = coalesce(finished, ?3) WHERE key = ?1",
            params![operation.key, OperationState::Abandoned, tx.now],
        )?;
        write_event(tx, journal, &operation, OperationState::Abandoned)?;
    }
    Ok(())
}

fn by_key(connection: &Connection, key: &str) -> Within<Operation> {
    let found = first(
        connection,
        "SELECT * FROM operations WHERE key = ?1",
        [key],
        operation,
    )?;
    Ok(found.ok_or_else(|| StoreError::not_found("operation", key))?)
}

fn operation(row: &Row<'_>) -> rusqlite::Result<Operation> {
    Ok(Operation {
        key: row.get("key")?,
        run: row.get("run")?,
        step: row.get("step")?,
        name: row.get("name")?,
        request: json_column(row, "request")?,
        state: row.get("state")?,
        result: json_or_none(row, "result")?,
        started: row.get("started")?,
        finished: row.get("finished")?,
    })
}
