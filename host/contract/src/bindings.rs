//! Host-side bindings, generated from `wit/` by wasmtime's macro.
//!
//! One world that has every import and every export is generated, once, so that the
//! records are the same Rust types for every kind of plugin. Each kind then links and
//! loads only the interfaces of its own world.

#![allow(
    missing_docs,
    clippy::all,
    reason = "generated; the documentation is in wit/"
)]

wasmtime::component::bindgen!({
    path: [
        "../../wit/types",
        "../../wit/runtime",
        "../../wit/reply",
        "../../wit/disk",
        "../../wit/guest",
        "../../wit/tool",
        "../../wit/plugin",
    ],
    inline: "
        package cofferdam:host;

        world every-kind {
            include cofferdam:plugin/disk-source@0.1.0;
            include cofferdam:plugin/filesystem@0.1.0;
            include cofferdam:plugin/inspector@0.1.0;
            include cofferdam:plugin/fixer@0.1.0;
            include cofferdam:plugin/workflow-step@0.1.0;
        }
    ",
    world: "cofferdam:host/every-kind",
    imports: { default: async | trappable },
    exports: { default: async },
    additional_derives: [PartialEq, Eq, serde::Serialize, serde::Deserialize],
});
