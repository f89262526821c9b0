//! Installed plugins: their versions, which one is active, activations, and crashes.
//!
//! A version is a row that names a file of the component store by its digest. Only what
//! the operator granted to it can change. Which version of a plugin is active is one row
//! that an activation replaces. Whatever happens to a plugin is in the journal under the
//! name [`journal_of`], so that those who follow runs can follow plugins.

mod activations;
mod health;
mod versions;

use serde_json::Value;

use crate::Event;
use crate::error::Within;
use crate::journal::Journal;
use crate::store::Tx;

/// The project of events that are about the whole host.
const EVERY_PROJECT: &str = "*";

/// What stands in the place of the run in events about a plugin.
pub fn journal_of(plugin: &str) -> String {
    format!("plugin:{plugin}")
}

/// Writes one event about a plugin.
fn tell(tx: &Tx<'_>, plugin: &str, kind: &str, data: Value) -> Within<Vec<Event>> {
    let name = journal_of(plugin);
    let mut journal = Journal::of(&name, EVERY_PROJECT);
    journal.write(tx, None, None, kind, data)?;
    Ok(journal.events)
}
