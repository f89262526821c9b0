//! What is done about plugins that crash.

use crate::common::{Component, Configured, Host, ID, MENDER, UNDOING, actor, version_of};
use cofferdam_orchestrator::plugins::{Cause, CrashAction, CrashPolicy};
use cofferdam_orchestrator::runs::workflow::Period;
use cofferdam_store::{PageRequest, RunState, StepState};
use std::time::Duration;

fn crashing(version: &str, traps: u32) -> Component {
    let mut component = Component::new(version);
    component.traps = traps;
    component
}

fn policy(action: CrashAction, crashes: u32) -> Configured {
    Configured {
        policy: CrashPolicy {
            policy: action,
            crashes,
            attempts: 3,
            delay: Period(Duration::from_millis(1)),
            max_delay: Period(Duration::from_millis(2)),
            ..CrashPolicy::default()
        },
        ..Configured::default()
    }
}

#[tokio::test]
async fn a_crash_fails_its_call_where_nothing_else_is_said() {
    let host = Host::new().await;
    let component = crashing("1.0.0", 1);
    host.serve(&component).await;
    let started = host.start().await;
    let view = host.until_state(&started.run.id, RunState::Failed).await;
    assert_eq!(view.steps[0].attempt, 1);
    assert_eq!(host.answered().await, "1.0.0");
    let state = host
        .orchestrator
        .plugins
        .get(ID)
        .unwrap()
        .versions
        .remove(0);
    assert_eq!(state.crash.crashes, 1);
    let last = state.crash.last.unwrap();
    assert_eq!(last.run.as_ref(), Some(&started.run.id));
    assert!(last.reason.contains("unreachable"), "{last:?}");
    assert_eq!(state.crash.quarantine, None);
}

#[tokio::test]
async fn attempts_are_made_again_as_often_as_is_said() {
    for (traps, expected) in [(2, RunState::Succeeded), (3, RunState::Failed)] {
        let host = Host::with(policy(CrashAction::Retry, 1)).await;
        host.serve(&crashing("1.0.0", traps)).await;
        let started = host.start().await;
        let view = host.until_state(&started.run.id, expected).await;
        assert_eq!(view.steps[0].attempt, 3, "{traps} traps");
    }
}

#[tokio::test]
async fn runs_are_parked_for_a_version_in_quarantine_and_go_on_when_it_is_back() {
    let configured = policy(CrashAction::Quarantine, 2);
    let host = Host::with(configured.clone()).await;
    host.serve(&crashing("1.0.0", 2)).await;
    let first = host.start().await;
    host.until_state(&first.run.id, RunState::Failed).await;
    let second = host.start().await;
    let view = host
        .until_state(&second.run.id, RunState::NeedsAttention)
        .await;
    let attention = view.run.attention.unwrap();
    assert!(attention.contains("in quarantine"), "{attention}");
    assert!(attention.contains("crashed 2 times"), "{attention}");
    // A run that begins now is parked before its plugin is called.
    let third = host.start().await;
    let view = host
        .until_state(&third.run.id, RunState::NeedsAttention)
        .await;
    assert_eq!(view.steps[0].state, StepState::NeedsAttention);

    let host = host.restarted(configured).await;
    let plugins = &host.orchestrator.plugins;
    let state = plugins.get(ID).unwrap().versions.remove(0).crash;
    assert_eq!(state.crashes, 2);
    assert_eq!(state.quarantine.unwrap().version, "1.0.0");
    assert_eq!(state.waiting, [second.run.id.clone(), third.run.id.clone()]);

    let released = plugins.release(&actor(), ID, None).await.unwrap();
    assert_eq!(released.len(), 1);
    for run in [&second, &third] {
        let view = host.until_state(&run.run.id, RunState::Succeeded).await;
        assert_eq!(version_of(&view), "1.0.0");
    }
    let state = plugins.get(ID).unwrap().versions.remove(0).crash;
    assert_eq!((state.crashes, state.quarantine), (0, None));
    let kinds: Vec<String> = host.events().into_iter().map(|event| event.kind).collect();
    for kind in ["plugin.quarantined", "plugin.released"] {
        assert_eq!(
            kinds.iter().filter(|told| *told == kind).count(),
            1,
            "{kind}"
        );
    }
}

fn undo_crashing(version: &str, traps: u32) -> Component {
    let mut component = Component::new(version);
    component.undo_traps = traps;
    component
}

#[tokio::test]
async fn a_compensation_waits_for_its_plugin_and_is_made_when_it_is_back() {
    let configured = policy(CrashAction::Quarantine, 1);
    let host = Host::with(configured.clone()).await;
    host.serve(&undo_crashing("1.0.0", 1)).await;
    // The first puts the plugin into quarantine by its compensation.
    let first = host.start_with(UNDOING).await.run.id;
    let view = host.until_state(&first, RunState::NeedsAttention).await;
    assert_eq!(view.steps[0].state, StepState::NeedsAttention);
    let error = view.steps[0].error.clone().unwrap();
    assert!(error.message.contains("unreachable"), "{error:?}");
    let digest = undo_crashing("1.0.0", 1).digest();
    assert_eq!(error.waits_for.as_ref(), Some(&digest));
    let attention = view.run.attention.unwrap();
    assert!(attention.contains("in quarantine"), "{attention}");

    // It stays parked, whichever host comes.
    let host = host.restarted(configured).await;
    assert_eq!(host.orchestrator.runs.active(), 0);
    let view = host.orchestrator.runs.get(&first).unwrap();
    assert_eq!(view.run.state, RunState::NeedsAttention);
    assert_eq!(host.undone("1.0.0"), 0);

    let plugins = &host.orchestrator.plugins;
    let state = plugins.get(ID).unwrap().versions.remove(0).crash;
    assert_eq!(state.waiting, std::slice::from_ref(&first));
    plugins.release(&actor(), ID, None).await.unwrap();
    let view = host.until_state(&first, RunState::Failed).await;
    assert_eq!(view.steps[0].state, StepState::Compensated);
    assert_eq!(view.steps[0].compensation_attempt, 2);
    assert_eq!(host.undone("1.0.0"), 1);
    // What failed it is still what it says.
    let message = view.run.error.unwrap().message;
    assert!(message.contains("cannot be made"), "{message}");
}

#[tokio::test]
async fn a_compensation_waits_for_a_component_that_cannot_be_used() {
    let host = Host::new().await;
    let mut component = Component::new("1.0.0");
    component.gated = true;
    host.serve(&component).await;
    let run = host.start_with(UNDOING).await.run.id;
    host.until(&run, |view| view.steps[0].state == StepState::Running)
        .await;
    // The call that goes on is of the old version; nobody waits for its end.
    host.install(&Component::new("2.0.0")).await;
    host.activate("2.0.0").await;
    let host = host.restarted(Configured::default()).await;
    host.until(&run, |view| view.steps[0].attempt == 2).await;
    let file = host.component_file(&component);
    let aside = file.with_extension("aside");
    std::fs::rename(&file, &aside).unwrap();
    host.open_gate();
    let view = host.until_state(&run, RunState::NeedsAttention).await;
    let error = view.steps[0].error.clone().unwrap();
    assert!(error.message.contains("cannot be used"), "{error:?}");
    assert_eq!(error.waits_for, None);

    std::fs::rename(&aside, &file).unwrap();
    host.orchestrator.runs.resume(&actor(), &run).await.unwrap();
    let view = host.until_state(&run, RunState::Failed).await;
    assert_eq!(view.steps[0].state, StepState::Compensated);
    assert_eq!(host.undone("1.0.0"), 1);
}

#[tokio::test]
async fn who_cancels_does_without_a_compensation_that_is_parked() {
    let host = Host::with(policy(CrashAction::Quarantine, 1)).await;
    host.serve(&undo_crashing("1.0.0", 1)).await;
    let two = "name: two\nsteps:\n  - { id: a, uses: native/mend, compensate: true }\n  - { id: s, uses: scripted, needs: [a], compensate: true }\noutputs:\n  none: ${{ steps.s.outputs.nothing }}\n";
    // Its first call crashes.
    let broken = host
        .start_with("name: w\nsteps: [{ id: s, uses: native/mend }]\n")
        .await;
    host.until_state(&broken.run.id, RunState::NeedsAttention)
        .await;
    let plugins = &host.orchestrator.plugins;
    plugins.release(&actor(), MENDER, None).await.unwrap();

    let run = host.start_with(two).await.run.id;
    let view = host.until_state(&run, RunState::NeedsAttention).await;
    assert_eq!(view.steps[0].state, StepState::Succeeded, "it has to wait");
    let runs = &host.orchestrator.runs;
    runs.cancel(&actor(), &run, None).await.unwrap();
    let view = host.until_state(&run, RunState::Failed).await;
    let states: Vec<_> = view.steps.iter().map(|step| step.state).collect();
    assert_eq!(
        states,
        [StepState::Compensated, StepState::CompensationFailed]
    );
    let message = view.run.error.unwrap().message;
    assert!(
        message.contains("cannot be made") && message.contains("`s` could not be compensated"),
        "{message}"
    );
    assert_eq!(host.undone("1.0.0"), 0);
}

#[tokio::test]
async fn activating_a_version_again_brings_it_back() {
    let host = Host::with(policy(CrashAction::Quarantine, 1)).await;
    host.serve(&crashing("1.0.0", 1)).await;
    let parked = host.start().await;
    host.until_state(&parked.run.id, RunState::NeedsAttention)
        .await;
    // Another version serves new runs; the parked one waits for its own.
    host.serve(&Component::new("2.0.0")).await;
    assert_eq!(host.answered().await, "2.0.0");
    let view = host.orchestrator.runs.get(&parked.run.id).unwrap();
    assert_eq!(view.run.state, RunState::NeedsAttention);
    host.activate("1.0.0").await;
    let view = host.until_state(&parked.run.id, RunState::Succeeded).await;
    assert_eq!(version_of(&view), "1.0.0");
}

#[tokio::test]
async fn the_version_before_comes_back_by_itself() {
    let host = Host::with(policy(CrashAction::RollBack, 1)).await;
    host.serve(&Component::new("1.0.0")).await;
    host.serve(&crashing("2.0.0", 1)).await;
    let parked = host.start().await;
    host.until_state(&parked.run.id, RunState::NeedsAttention)
        .await;
    let plugins = &host.orchestrator.plugins;
    let page = PageRequest {
        limit: 1,
        cursor: None,
    };
    let newest = || plugins.history(ID, &page).unwrap().items.remove(0);
    while newest().cause != Cause::Crashes {
        tokio::task::yield_now().await;
    }
    let back = plugins.settled(&newest().id).await.unwrap();
    assert_eq!(back.actor, "cofferdam");
    assert_eq!(back.to.unwrap().version, "1.0.0");
    assert_eq!(host.answered().await, "1.0.0");
    // The run began with the other one, and keeps it.
    plugins.release(&actor(), ID, Some("2.0.0")).await.unwrap();
    let view = host.until_state(&parked.run.id, RunState::Succeeded).await;
    assert_eq!(version_of(&view), "2.0.0");
}

#[tokio::test]
async fn where_nothing_was_before_the_version_stays_in_quarantine() {
    let host = Host::with(policy(CrashAction::RollBack, 1)).await;
    host.serve(&crashing("1.0.0", 1)).await;
    let parked = host.start().await;
    host.until_state(&parked.run.id, RunState::NeedsAttention)
        .await;
    let installed = host.orchestrator.plugins.get(ID).unwrap();
    assert_eq!(installed.active.as_deref(), Some("1.0.0"));
    assert!(installed.versions[0].crash.quarantine.is_some());
}
