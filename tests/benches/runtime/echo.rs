//! The plugin that is called: a step whose output is its input.

use crate::guest::{all_but, component_with_memory, manifest, step_functions};
use cofferdam_runtime::embed_manifest;

/// Its component: with the memory that a Rust compiler gives a plugin (17 pages), of which
/// each call touches eight of the system's pages beside its input, as a small plugin does.
pub fn component() -> Vec<u8> {
    let echo = "(local $i i32)
        (loop $touch
            (i64.store (i32.add (i32.const 524288) (i32.mul (local.get $i) (i32.const 4096)))
                (i64.const 7))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $touch (i32.lt_u (local.get $i) (i32.const 8))))
        (global.set $next (i32.const 65536))
        (i32.store (i32.const 260) (local.get 0))
        (i32.store (i32.const 264) (local.get 1))
        (i32.const 256)";
    // It answers with its input, whose memory is free again for the next call.
    let functions = step_functions(&[("execute", echo)]);
    let memory = "(memory (export \"memory\") 17) (data (i32.const 1048576) \"data\")";
    component_with_memory("step", "", memory, &functions)
}

/// The same as a plugin with this id.
pub fn plugin(component: &[u8], id: &str) -> Vec<u8> {
    embed_manifest(component, &manifest(id, &all_but(&[]))).unwrap()
}
