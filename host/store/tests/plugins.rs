//! Installed plugins: versions, activations, quarantine, and the steps that wait for it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod common;

use cofferdam_store::{
    ActivationOutcome, AttemptOutcome, Cause, Change, Crash, Durability, EventFilter,
    NewActivation, NewPin, NewPluginVersion, PageRequest, Problem, Quarantine, RunState, Stage,
    StepState, Store, StoreError, Time, VersionName, event_kind, journal_of, new_activation_id,
};
use common::{Place, attempt, audit, new_run, running};
use serde_json::{Map, Value, json};

fn version(id: &str, number: &str) -> NewPluginVersion {
    NewPluginVersion {
        digest: format!("{id}-{number}"),
        id: id.to_owned(),
        version: number.to_owned(),
        kind: "workflow-step".to_owned(),
        summary: "Does it".to_owned(),
        size: 1 << 20,
        imports: vec!["cofferdam:runtime/context@0.1.0".to_owned()],
        wants: json!([]),
        grants: Map::new(),
    }
}

fn install(store: &Store, id: &str, number: &str) -> VersionName {
    let (version, _) = store
        .install_plugin(&version(id, number), &audit("plugin.install"))
        .unwrap();
    VersionName {
        version: version.version,
        digest: version.digest,
    }
}

fn begin(store: &Store, plugin: &str, to: Option<&VersionName>) -> String {
    let active = store.active_plugins().unwrap();
    let from = active.iter().find(|version| version.id == plugin);
    let new = NewActivation {
        id: new_activation_id(),
        plugin: plugin.to_owned(),
        cause: if to.is_some() {
            Cause::Activate
        } else {
            Cause::Remove
        },
        from: from.map(|version| VersionName {
            version: version.version.clone(),
            digest: version.digest.clone(),
        }),
        to: to.cloned(),
    };
    store
        .begin_activation(&new, &audit("plugin.activate"))
        .unwrap()
        .id
}

fn activate(store: &Store, plugin: &str, to: Option<&VersionName>) -> String {
    let id = begin(store, plugin, to);
    store.publish_activation(&id).unwrap();
    store.end_activation(&id, None).unwrap();
    id
}

fn active(store: &Store) -> Vec<(String, String)> {
    let active = store.active_plugins().unwrap().into_iter();
    active.map(|found| (found.id, found.version)).collect()
}

fn told(store: &Store, plugin: &str) -> Vec<(String, Value)> {
    let filter = EventFilter {
        run: Some(journal_of(plugin)),
        ..EventFilter::default()
    };
    let events = store.events(0, &filter, 1000).unwrap();
    assert!(events.iter().all(|event| event.project == "*"));
    let events = events.into_iter();
    events.map(|event| (event.kind, event.data)).collect()
}

#[test]
fn a_version_number_belongs_to_one_digest() {
    let Place { store, folder } = Place::new();
    install(&store, "a", "1.0.0");
    let mut other = version("a", "1.0.0");
    other.digest = "another".to_owned();
    let error = store
        .install_plugin(&other, &audit("plugin.install"))
        .unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    assert!(error.to_string().contains("another"), "{error}");

    // The same again changes nothing; other grants are taken over.
    let (same, events) = store
        .install_plugin(&version("a", "1.0.0"), &audit("plugin.install"))
        .unwrap();
    assert_eq!((same.version.as_str(), events.len()), ("1.0.0", 0));
    let mut granted = version("a", "1.0.0");
    let grants = json!({ "secrets": { "names": ["x"] } });
    granted.grants = grants.as_object().unwrap().clone();
    let (now, events) = store
        .install_plugin(&granted, &audit("plugin.install"))
        .unwrap();
    assert_eq!((now.grants, events.len()), (granted.grants, 1));
    assert_eq!(store.plugin_versions(None).unwrap().len(), 1);

    // And it is there after a restart.
    drop(store);
    let store = Store::open(folder.path().join("cofferdam.db")).unwrap();
    let found = store.plugin_of_digest("a-1.0.0").unwrap().unwrap();
    assert_eq!(Value::Object(found.grants), grants);
    assert_eq!(found.size, 1 << 20);
    assert_eq!(found.active_since, None);
}

#[test]
fn publishing_replaces_the_active_version() {
    let Place {
        store,
        folder: _folder,
    } = Place::new();
    let one = install(&store, "a", "1.0.0");
    let two = install(&store, "a", "2.0.0");
    install(&store, "b", "1.0.0");
    activate(&store, "a", Some(&one));
    assert_eq!(active(&store), [("a".to_owned(), "1.0.0".to_owned())]);

    let id = begin(&store, "a", Some(&two));
    // One at a time.
    let again = NewActivation {
        id: new_activation_id(),
        plugin: "a".to_owned(),
        cause: Cause::Rollback,
        from: None,
        to: Some(one.clone()),
    };
    let error = store
        .begin_activation(&again, &audit("plugin.activate"))
        .unwrap_err();
    assert!(error.to_string().contains(&id), "{error}");
    store.activation_stage(&id, Stage::Compile, None).unwrap();
    let (failed, _) = store
        .end_activation(&id, Some("it does not compile"))
        .unwrap();
    assert_eq!(failed.outcome, ActivationOutcome::Failed);
    assert_eq!(failed.stage, Stage::Compile);
    assert_eq!(failed.reason.as_deref(), Some("it does not compile"));
    assert_eq!(active(&store), [("a".to_owned(), "1.0.0".to_owned())]);
    store.publish_activation(&id).unwrap_err();

    let id = begin(&store, "a", Some(&two));
    store.publish_activation(&id).unwrap();
    assert_eq!(active(&store), [("a".to_owned(), "2.0.0".to_owned())]);
    // What serves cannot fail any more.
    store.end_activation(&id, Some("too late")).unwrap_err();
    let (ended, _) = store.end_activation(&id, None).unwrap();
    assert_eq!(ended.from, Some(one));
    assert!(ended.finished.is_some());

    let page = PageRequest {
        limit: 2,
        cursor: None,
    };
    let newest = store.activations("a", &page).unwrap();
    assert_eq!(newest.items[0].id, id);
    let page = PageRequest {
        limit: 2,
        cursor: newest.next,
    };
    assert_eq!(store.activations("a", &page).unwrap().items.len(), 1);
    let kinds: Vec<String> = told(&store, "a")
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    for kind in [
        event_kind::PLUGIN_INSTALLED,
        event_kind::PLUGIN_STAGE,
        event_kind::PLUGIN_ACTIVATED,
        event_kind::PLUGIN_ACTIVATION_FAILED,
    ] {
        assert!(kinds.iter().any(|told| told == kind), "{kind}");
    }
}

#[test]
fn what_a_killed_host_left_is_ended() {
    let Place { store, folder } = Place::new();
    let one = install(&store, "a", "1.0.0");
    let other = install(&store, "b", "1.0.0");
    let early = begin(&store, "a", Some(&one));
    let late = begin(&store, "b", Some(&other));
    store.publish_activation(&late).unwrap();
    drop(store);
    let store = Store::open(folder.path().join("cofferdam.db")).unwrap();
    store.end_interrupted_activations().unwrap();
    let early = store.activation(&early).unwrap();
    assert_eq!(early.outcome, ActivationOutcome::Failed);
    assert!(early.reason.unwrap().contains("stopped meanwhile"));
    let late = store.activation(&late).unwrap();
    assert_eq!(late.outcome, ActivationOutcome::Active);
    assert!(late.finished.is_some());
    assert_eq!(active(&store), [("b".to_owned(), "1.0.0".to_owned())]);
    assert!(store.end_interrupted_activations().unwrap().is_empty());
}

#[test]
fn what_is_active_or_coming_or_pinned_is_not_removed() {
    let Place {
        store,
        folder: _folder,
    } = Place::new();
    let one = install(&store, "a", "1.0.0");
    let remove = |number: &str| store.remove_plugin_version("a", number, &audit("plugin.remove"));
    let coming = begin(&store, "a", Some(&one));
    let error = remove("1.0.0").unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    assert!(error.to_string().contains(&coming), "{error}");
    store.publish_activation(&coming).unwrap();
    store.end_activation(&coming, None).unwrap();
    assert!(remove("1.0.0").unwrap_err().to_string().contains("active"));

    let mut run = new_run(&["s"]);
    run.steps[0].plugin = Some(one.digest.clone());
    run.plugins[0] = NewPin {
        id: "a".to_owned(),
        version: one.version.clone(),
        digest: one.digest.clone(),
        path: "a-1.0.0.wasm".to_owned(),
    };
    store.create_run(&run, &audit("run.start")).unwrap();
    activate(&store, "a", None);
    assert_eq!(store.runs_pinning(&one.digest).unwrap(), [run.id.clone()]);
    let error = remove("1.0.0").unwrap_err().to_string();
    assert!(error.contains(&run.id), "{error}");

    store
        .request_cancel(&run.id, None, &audit("run.cancel"))
        .unwrap();
    let finish = Change::Finish(cofferdam_store::RunOutcome::Cancelled);
    store
        .advance(&run.id, Durability::Process, &[finish])
        .unwrap();
    let (needed, _) = remove("1.0.0").unwrap();
    assert!(needed, "a run that has ended can be retried");
    assert!(store.plugin_versions(Some("a")).unwrap().is_empty());
    // Its history stays.
    let page = PageRequest {
        limit: 10,
        cursor: None,
    };
    assert_eq!(store.activations("a", &page).unwrap().items.len(), 2);
    install(&store, "a", "2.0.0");
    assert!(!remove("2.0.0").unwrap().0);
}

#[test]
fn what_a_step_pins_counts_too() {
    let Place {
        store,
        folder: _folder,
    } = Place::new();
    let one = install(&store, "fixer", "1.0.0");
    let run = running(&store, &["s"]);
    let pin = NewPin {
        id: "fixer".to_owned(),
        version: one.version.clone(),
        digest: one.digest.clone(),
        path: String::new(),
    };
    store.pin_plugins(&run, std::slice::from_ref(&pin)).unwrap();
    store.pin_plugins(&run, std::slice::from_ref(&pin)).unwrap();
    assert_eq!(store.run_detail(&run).unwrap().plugins.len(), 2);
    assert_eq!(store.runs_pinning(&one.digest).unwrap(), [run]);
    assert!(matches!(
        store.pin_plugins("run-none", &[pin]).unwrap_err(),
        StoreError::NotFound { .. }
    ));
}

fn crash(at: Time) -> Crash {
    Crash {
        call: "execute".to_owned(),
        reason: "unreachable".to_owned(),
        run: Some("run-01".to_owned()),
        at,
    }
}

#[test]
fn the_newest_hundred_crashes_are_kept() {
    let Place {
        store,
        folder: _folder,
    } = Place::new();
    let first = Time::now();
    for number in 0..150_u64 {
        let at = first.plus(std::time::Duration::from_millis(number));
        store.record_crash("a", "d", &crash(at)).unwrap();
    }
    store.record_crash("a", "e", &crash(first)).unwrap();
    let kept = store.crashes("d", Time(0)).unwrap();
    assert_eq!(kept.len(), 100);
    let newest = first.plus(std::time::Duration::from_millis(149));
    assert_eq!(kept[0].at, newest);
    assert_eq!(store.crashes("d", newest).unwrap().len(), 1);
    assert_eq!(store.crashes("e", Time(0)).unwrap().len(), 1);
}

fn park(store: &Store, step: &str, waits_for: Option<&str>) -> String {
    let run = running(store, &[step, "other"]);
    store.begin_attempt(&run, attempt(step)).unwrap();
    let error = Problem {
        waits_for: waits_for.map(str::to_owned),
        ..Problem::new("unavailable", "it is in quarantine")
    };
    let outcome = AttemptOutcome::NeedsAttention { error };
    store.end_attempt(&run, step, 1, outcome, vec![]).unwrap();
    let parked = Change::Run {
        state: RunState::NeedsAttention,
        attention: Some("look".to_owned()),
        error: None,
    };
    store.advance(&run, Durability::Process, &[parked]).unwrap();
    run
}

#[test]
fn a_release_lets_go_on_what_waits_for_it_and_nothing_else() {
    let Place { store, folder } = Place::new();
    let quarantine = Quarantine {
        plugin: "a".to_owned(),
        version: "1.0.0".to_owned(),
        digest: "d".to_owned(),
        reason: "it crashed".to_owned(),
        since: Time::now(),
    };
    assert_eq!(store.quarantine_plugin(&quarantine).unwrap().len(), 1);
    assert!(store.quarantine_plugin(&quarantine).unwrap().is_empty());
    store.record_crash("a", "d", &crash(Time::now())).unwrap();
    let waiting = park(&store, "s", Some("d"));
    let lost = park(&store, "s", None);
    let other = park(&store, "s", Some("e"));
    drop(store);
    let store = Store::open(folder.path().join("cofferdam.db")).unwrap();
    assert_eq!(store.quarantines().unwrap(), [quarantine]);
    assert_eq!(store.runs_waiting_for("d").unwrap(), [waiting.as_str()]);

    let (runs, events) = store
        .release_plugin("d", Some(&audit("plugin.release")))
        .unwrap();
    assert_eq!(runs, [waiting.as_str()]);
    assert_eq!(events[0].kind, event_kind::PLUGIN_RELEASED);
    assert!(
        events
            .iter()
            .any(|event| event.kind == event_kind::RUN_RESUMED)
    );
    assert_eq!(store.run(&waiting).unwrap().state, RunState::Running);
    assert_eq!(store.steps(&waiting).unwrap()[0].state, StepState::Pending);
    for run in [lost, other] {
        assert_eq!(store.run(&run).unwrap().state, RunState::NeedsAttention);
    }
    assert!(store.quarantines().unwrap().is_empty());
    assert!(store.crashes("d", Time(0)).unwrap().is_empty());

    // A step that is parked a moment after the release.
    let late = park(&store, "s", Some("d"));
    let (runs, _) = store.release_plugin("d", None).unwrap();
    assert_eq!(runs, [late]);
}
