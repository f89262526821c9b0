//! How a capability joins the runtime without the runtime knowing it.

use crate::state::State;
use wasmtime::Result;
use wasmtime::component::Linker;

/// One interface that the host offers.
///
/// Its life has three phases: it is named, it adds its functions to the linkers of the
/// kinds whose world imports it (once), and what stands behind the functions in one
/// instance is put into that instance's [`Extensions`](crate::Extensions).
pub trait Capability: Send + Sync {
    /// The interface with its version (`cofferdam:disk/devices@0.1.0`).
    fn interface(&self) -> &'static str;
    /// Adds the interface's functions.
    fn add_to_linker(&self, linker: &mut Linker<State>) -> Result<()>;
}
