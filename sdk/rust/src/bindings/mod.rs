//! The contract as Rust: one module a world, generated from `wit/`, which is a copy of
//! the contract at the repository's root.
//!
//! Records that several interfaces share are the SDK's own types ([`crate::types`]), so
//! that a value means the same in every world and in the in-memory doubles. An author
//! uses the traits of this crate; the generated modules are public for those who need
//! what the traits leave out.

/// Generates one world's bindings over the SDK's own types.
#[allow(
    unused_macros,
    reason = "who uses the doubles only has no world among its features"
)]
macro_rules! world {
    ($module:ident, $world:literal, $bindings:literal, [$($shared:literal),+]) => {
        #[allow(
            missing_docs,
            unsafe_code,
            clippy::all,
            clippy::allow_attributes_without_reason,
            clippy::expect_used,
            clippy::indexing_slicing,
            clippy::panic,
            clippy::unwrap_used,
            reason = "generated; the documentation is in wit/"
        )]
        pub mod $module {
            wit_bindgen::generate!({
                path: [
                    "wit/types",
                    "wit/runtime",
                    "wit/reply",
                    "wit/disk",
                    "wit/guest",
                    "wit/tool",
                    "wit/plugin",
                ],
                world: $world,
                generate_all,
                pub_export_macro: true,
                default_bindings_module: $bindings,
                with: {
                    $($shared: crate::types,)+
                },
            });
        }
    };
}

#[cfg(feature = "disk-source")]
world!(
    disk_source,
    "cofferdam:plugin/disk-source@0.1.0",
    "cofferdam_sdk::bindings::disk_source",
    [
        "cofferdam:types/errors@0.1.0",
        "cofferdam:types/files@0.1.0"
    ]
);
#[cfg(feature = "filesystem")]
world!(
    filesystem,
    "cofferdam:plugin/filesystem@0.1.0",
    "cofferdam_sdk::bindings::filesystem",
    [
        "cofferdam:types/errors@0.1.0",
        "cofferdam:types/files@0.1.0"
    ]
);
#[cfg(feature = "fixer")]
world!(
    fixer,
    "cofferdam:plugin/fixer@0.1.0",
    "cofferdam_sdk::bindings::fixer",
    [
        "cofferdam:types/errors@0.1.0",
        "cofferdam:types/files@0.1.0",
        "cofferdam:guest/block-devices@0.1.0",
        "cofferdam:guest/found@0.1.0"
    ]
);
#[cfg(feature = "inspector")]
world!(
    inspector,
    "cofferdam:plugin/inspector@0.1.0",
    "cofferdam_sdk::bindings::inspector",
    [
        "cofferdam:types/errors@0.1.0",
        "cofferdam:types/files@0.1.0",
        "cofferdam:guest/block-devices@0.1.0",
        "cofferdam:guest/found@0.1.0"
    ]
);
#[cfg(feature = "workflow-step")]
world!(
    workflow_step,
    "cofferdam:plugin/workflow-step@0.1.0",
    "cofferdam_sdk::bindings::workflow_step",
    [
        "cofferdam:types/errors@0.1.0",
        "cofferdam:types/files@0.1.0"
    ]
);
