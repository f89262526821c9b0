//! Write a Cofferdam plugin in Rust.
//!
//! **Problem.** The contract (`wit/`) is plain functions over plain records, so that every
//! language can implement it. An author in Rust wants a trait to implement, errors with
//! `?`, and unit tests that need neither WebAssembly nor a disk.
//!
//! **Design.** Per plugin kind there is a trait and an export macro ([`Fixer`] and
//! `export_fixer!`, …) and an object-safe trait for what that kind sees ([`Guest`],
//! [`Trees`], [`source::SourceFolder`] and [`source::Machine`], [`filesystem::Session`]);
//! a workflow step is generic over its host ([`StepHost`]), so that it imports only what it
//! uses.
//! In a component these are the host's imports; natively they are the doubles of
//! `testing`, over which a plugin's own tests run its cases. [`bindings`] holds what is
//! generated from the contract.
//!
//! **Limits.** Every world that is linked into a component becomes part of it, so each
//! kind is a cargo feature and a plugin chooses one: `fixer`, `inspector`, `filesystem`,
//! `disk-source`, `workflow-step`. A plugin is compiled with `panic = "abort"`: an `Err` becomes the error
//! record, a panic ends the session.
//!
//! A whole fixer:
//!
//! ```
//! use cofferdam_sdk::{Fixer, Guest, Result, Severity};
//!
//! /// Gives a guest that has no host name one.
//! pub struct Hostname;
//!
//! #[derive(serde::Deserialize)]
//! struct Settings {
//!     name: String,
//! }
//!
//! impl Fixer for Hostname {
//!     fn fix(guest: &mut dyn Guest) -> Result<()> {
//!         let settings: Settings = guest.settings()?;
//!         if guest.exists("/etc/hostname")? {
//!             return Ok(());
//!         }
//!         let attributes = guest.attributes_like_siblings("/etc")?;
//!         let content = format!("{}\n", settings.name);
//!         guest.create("/etc/hostname", content.as_bytes(), &attributes, "the guest has no name")?;
//!         guest.note(Severity::Info, "the guest got a host name")
//!     }
//! }
//!
//! # #[cfg(feature = "fixer")]
//! cofferdam_sdk::export_fixer!(Hostname);
//!
//! // Its test:
//! # #[cfg(not(target_family = "wasm"))] {
//! use cofferdam_sdk::testing::MemoryGuest;
//!
//! let mut guest = MemoryGuest::new();
//! guest.set_settings(serde_json::json!({ "name": "web" }));
//! guest.files.add_file("/etc/fstab", b"");
//! Hostname::fix(&mut guest).unwrap();
//! assert_eq!(guest.files.content("/etc/hostname").unwrap(), b"web\n");
//! assert_eq!(guest.edits().len(), 1);
//! # }
//! ```

pub mod bindings;
pub mod console;
pub mod context;
pub mod devices;
pub mod error;
pub mod filesystem;
pub mod fixer;
pub mod guest;
pub mod inspector;
pub mod path;
pub mod source;
pub mod step;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod text;
pub mod time_span;
pub mod tree;
pub mod types;

pub use context::Context;
pub use error::{Error, ErrorCode, OptionalExt, Result};
pub use fixer::Fixer;
pub use guest::Guest;
pub use inspector::{Inspector, Trees};
pub use step::{StepHost, WorkflowStep};
pub use time_span::TimeSpan;
pub use tree::FileTree;
pub use types::{Attributes, FileKind, Metadata, Severity};
