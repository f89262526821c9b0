//! What the workflow steps of the product want.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_capabilities::{load_plugins, runtime};
use cofferdam_contract::grants::Granted;
use cofferdam_runtime::{Options, PluginFolder};
use cofferdam_tests::plugins;

#[test]
fn each_step_imports_only_what_its_manifest_asks_for() {
    let granted = Granted::nothing();
    let runtime = runtime(&Options::uncached()).unwrap();
    let loaded = load_plugins(&runtime, PluginFolder::scan(&[plugins()]), &granted).unwrap();
    assert!(loaded.steps.is_empty(), "both need a grant");
    for id in ["boot-test", "command"] {
        let refused = loaded
            .ungranted
            .iter()
            .find(|refused| refused.path.ends_with(format!("{id}.wasm")));
        let reason = refused.unwrap().reason.to_string();
        let expected = format!("[plugins.{id}.grants.tool.");
        assert!(reason.contains(&expected), "{reason}");
        assert!(!reason.contains("secrets"), "{reason}");
    }
}
