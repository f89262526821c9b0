//! Turning compiled code back into a component: the one place with `unsafe`.

use wasmtime::component::Component;
use wasmtime::{Engine, Result};

/// Loads what [`wasmtime::Engine::precompile_component`] of an engine configured alike
/// made. The caller vouches that the bytes are exactly that: the cache gives only bytes
/// from the user's own folder, which nobody else can write, whose checksum is right.
pub(crate) fn load(engine: &Engine, compiled: &[u8]) -> Result<Component> {
    #[expect(
        unsafe_code,
        reason = "wasmtime cannot check machine code; the cache vouches for where it is from"
    )]
    // SAFETY: the bytes were made by `precompile_component` on this machine, see above.
    unsafe {
        Component::deserialize(engine, compiled)
    }
}
