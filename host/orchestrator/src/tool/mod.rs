//! The capability `tool`: programs that the operator approved, run for a plugin.
//!
//! **Problem.** Some know-how sits in programs that exist (qemu, terraform). A plugin may
//! need one, must not get a shell for it, and its effect must happen once although the host
//! can be killed at any moment while the program runs for a quarter of an hour.
//!
//! **Design.**
//! - [`grant`]: what the operator wrote in `cofferdam.toml`, checked when it is loaded
//!   (with all of a plugin's grants, see [`crate::grants`]): which program, patterns that every argument has to match, the whole environment, limits.
//!   [`arguments`] holds a request against it and puts the paths of artifacts in.
//! - [`folder`]: one folder for each operation, `operations/KEY/`, is all that host and
//!   supervisor share: `spec.json`, `lock`, `started`, `output.log`, `result.json`, `stop`.
//!   Secrets are in none of them ([`sealed`]).
//! - [`supervisor`]: a process of its own, the same binary, that outlives the host. It holds
//!   `lock`, makes `started` (synced, and only if it is not there) before anything runs, so
//!   that one key is started at most once, ever, and renames the synced result into place.
//! - [`runner`]: the host's side, [`ToolRunner`]: journals the operation, starts the
//!   supervisor or attaches to the one there is, stops it where the call is dropped.
//!   `started` without a result, and nobody holding the lock, means that no one can say how
//!   the program ended: the operation is lost and the step waits for a person.
//!
//! **Limits.** It is the one capability that is not a sandbox. What confines a program is
//! said in [`supervisor`], and it is what the kernel offers: a program reads whatever the
//! host's user may read. Linux only. A service manager that kills every process of the
//! host's unit kills the supervisors too (systemd: set `KillMode=process`).

pub mod arguments;
pub mod folder;
pub mod grant;
pub(crate) mod pattern;
pub mod quantity;
pub mod runner;
pub mod sealed;
pub mod supervisor;

pub use crate::grants::{GrantError, Granted, Grants, PluginGrants, SecretsGrant};
pub use grant::ToolGrant;
pub use runner::{Denied, ToolHost, ToolRunner};
