//! What is done about plugins that crash.

use crate::common::{Component, Configured, Host, ID, actor, version_of};
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
