//! Every fixer's cases, run against the compiled component: what a plugin plans in the
//! sandbox is what it plans natively, and what its author wrote down.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first thing that is wrong"
)]

#[path = "cases/convert.rs"]
mod convert;
#[path = "cases/services.rs"]
mod services;

use cofferdam_capabilities::{load_plugins, runtime};
use cofferdam_contract::failure::CallError;
use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::{Call, Fixer, FixerGuest};
use cofferdam_runtime::{Options, PluginFolder};
use cofferdam_sdk::testing::{Case, MemoryGuest, Outcome, plugin_defaults};
use cofferdam_tests::{plugin_sources, plugins};
use services::{CaseRun, Shared};
use std::sync::{Arc, Mutex};

/// Runs the component over the guest as it now is.
async fn fix(fixer: &dyn Fixer, case: &Case, guest: &Arc<Mutex<MemoryGuest>>) -> Outcome {
    let shared = Arc::new(Shared(Arc::clone(guest)));
    let settings = fixer.manifest().settings(&case.settings).unwrap();
    let call = Call {
        context: Arc::new(CaseRun(case.now)),
        settings: settings.to_string(),
    };
    let facts = convert::facts(&guest.lock().unwrap().facts);
    let given = FixerGuest {
        view: shared.clone(),
        facts: Arc::new(facts),
        edits: shared,
    };
    let result = match fixer.fix(call, given).await {
        Ok(()) => Ok(()),
        Err(CallError::Returned { error, .. }) => Err(convert::error_back(error)),
        Err(other) => panic!("{}: {other}", case.directory.display()),
    };
    Outcome::new(&guest.lock().unwrap(), result)
}

#[tokio::test]
async fn every_case_holds_for_the_component() {
    let runtime = runtime(&Options::with_default_cache()).unwrap();
    let loaded = load_plugins(
        &runtime,
        PluginFolder::scan(&[plugins()]),
        &Granted::nothing(),
    )
    .unwrap();
    let (mut fixers, mut failures) = (0, Vec::new());
    for folder in plugin_sources() {
        if !folder.parent().unwrap().ends_with("fixers") {
            continue;
        }
        let id = folder.file_name().unwrap().to_str().unwrap();
        let fixer = loaded
            .set
            .fixers
            .iter()
            .find(|fixer| fixer.manifest().id == id);
        let fixer = fixer.unwrap_or_else(|| panic!("{id} is not loaded; run `cargo xtask test`"));
        fixers += 1;
        let defaults = plugin_defaults(&folder).unwrap();
        for case in Case::all(&folder).unwrap() {
            let guest = Arc::new(Mutex::new(case.guest(&defaults).unwrap()));
            let outcome = fix(fixer.as_ref(), &case, &guest).await;
            let expected = case.expected().unwrap();
            if outcome != expected {
                failures.push(format!(
                    "{id}, case {}: planned {} instead of {}",
                    case.name(),
                    outcome.to_json().unwrap(),
                    expected.to_json().unwrap()
                ));
            } else if outcome.error.is_none() {
                guest.lock().unwrap().begin_again();
                let again = fix(fixer.as_ref(), &case, &guest).await;
                if !again.edits.is_empty() || again.error.is_some() {
                    failures.push(format!(
                        "{id}, case {}: a second run: {again:?}",
                        case.name()
                    ));
                }
            }
        }
    }
    assert!(fixers >= 4, "{fixers} fixers");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
