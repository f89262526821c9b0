//! State: runs and their journal, plugins, secrets, identity and audit in SQLite.
//!
//! **Problem.** Whatever a host does must survive its being killed at any moment: which
//! steps of which run have ended and how, which effects outside were begun, what was
//! approved, who may do what.
//!
//! **Design.** One database file in WAL mode. No SQL leaves this crate: records are typed
//! at its border, and every change is one function and one transaction, which checks the
//! states it starts from and appends what happened to the journal, so that another
//! database can stand behind the same functions. There is one writer. What is said to
//! survive a kill is committed without a sync (`synchronous = NORMAL`: the log's checksums
//! let a later loss of power take the newest commits, never the middle of one); what is
//! said to survive the loss of power is followed by a sync of the log, which makes all
//! earlier commits durable too, and which changes made at the same time share. Journal
//! and audit log are append-only by trigger.
//!
//! **Limits.** Several processes may open the file, but one host is expected to execute
//! its runs. SQLite has no checksums of pages: damage within a value that keeps the page's
//! structure is found only where the value no longer makes sense. Runs, journal and logs
//! are kept for good.

mod audit;
mod backup;
mod checkpoint;
mod connection;
mod error;
pub mod event_kind;
mod files;
mod id;
mod identity;
mod journal;
mod logs;
mod lost;
mod migrate;
mod names;
mod operations;
mod page;
mod plugins;
mod records;
mod runs;
mod secrets;
mod sql;
mod store;
mod sync;
mod time;
mod workflows;

pub use audit::IDEMPOTENCY_KEPT;
pub use backup::{BackupReport, CheckReport};
pub use connection::StoreOptions;
pub use error::StoreError;
pub use id::{new_activation_id, new_grant_id, new_run_id, new_token_id};
pub use operations::operation_key;
pub use page::{PAGE_LIMIT, Page, PageRequest};
pub use plugins::journal_of;
pub use records::*;
pub use secrets::{SECRET_LIMIT, SecretKey};
pub use store::{Durability, Store};
pub use time::Time;
