//! Activation: every stage passes or leaves the old version serving.

use crate::common::{Component, Configured, Host, ID, actor, version_of};
use cofferdam_contract::types::ErrorCode;
use cofferdam_orchestrator::plugins::{ActivationOutcome, Approval, PluginsError, Stage};
use cofferdam_store::{PageRequest, RunState};

#[tokio::test]
async fn every_stage_is_told_and_the_new_version_serves() {
    let host = Host::new().await;
    let first = host.serve(&Component::new("1.0.0")).await;
    assert_eq!(first.outcome, ActivationOutcome::Active);
    assert_eq!(host.answered().await, "1.0.0");
    let second = host.serve(&Component::new("2.0.0")).await;
    assert_eq!(second.from.unwrap().version, "1.0.0");
    assert_eq!(second.stage, Stage::Retire);
    let expected: Vec<String> = [
        "verify",
        "compile",
        "compare",
        "self-test",
        "publish",
        "drain",
        "retire",
    ]
    .iter()
    .flat_map(|stage| [format!("{stage} began"), format!("{stage} passed")])
    .collect();
    assert_eq!(host.stages(&second.id), expected);
    assert_eq!(host.answered().await, "2.0.0");
    assert_eq!(host.active().as_deref(), Some("2.0.0"));
    let retired = format!("retire {}", Component::new("1.0.0").digest());
    assert!(host.stage.log.lock().unwrap().contains(&retired));

    let host = host.restarted(Configured::default()).await;
    assert_eq!(host.active().as_deref(), Some("2.0.0"));
    assert_eq!(host.answered().await, "2.0.0");
}

#[tokio::test]
async fn a_stage_that_fails_leaves_the_old_version_serving() {
    let host = Host::new().await;
    host.serve(&Component::new("1.0.0")).await;
    let damaged = Component::new("2.0.0");
    host.install(&damaged).await;
    let other = Component::new("2.0.1");
    std::fs::write(host.component_file(&damaged), other.bytes()).unwrap();
    let new = |version: &str, change: fn(&mut Component)| {
        let mut component = Component::new(version);
        change(&mut component);
        component
    };
    let cases = [
        (damaged, Stage::Verify, "it was changed"),
        (
            new("3.0.0", |c| c.does_not_compile = true),
            Stage::Compile,
            "it does not compile",
        ),
        (
            new("4.0.0", |c| c.traps_at_once = true),
            Stage::SelfTest,
            "the plugin crashed: unreachable",
        ),
        (
            new("5.0.0", |c| c.cannot_be_ordered = true),
            Stage::Publish,
            "it comes before itself",
        ),
    ];
    for (component, stage, reason) in cases {
        if stage != Stage::Verify {
            host.install(&component).await;
        }
        let failed = host.activate(&component.version).await;
        assert_eq!(failed.outcome, ActivationOutcome::Failed, "{stage}");
        assert_eq!(failed.stage, stage);
        let said = failed.reason.unwrap();
        assert!(said.contains(reason), "{stage}: {said}");
        let last = host.stages(&failed.id).pop().unwrap();
        assert_eq!(last, format!("{stage} failed"));
        assert_eq!(host.active().as_deref(), Some("1.0.0"));
        assert_eq!(host.answered().await, "1.0.0", "after {stage}");
    }
    let failed = host.events().into_iter();
    let failed = failed.filter(|event| event.kind == "plugin.activation-failed");
    assert_eq!(failed.count(), 4);
    let host = host.restarted(Configured::default()).await;
    assert_eq!(host.answered().await, "1.0.0");
}

#[tokio::test]
async fn what_began_on_the_old_version_ends_on_it() {
    let host = Host::new().await;
    let mut old = Component::new("1.0.0");
    old.gated = true;
    host.serve(&old).await;
    let started = host.start().await;
    let step_runs = |view: &cofferdam_orchestrator::runs::RunView| view.steps[0].attempt == 1;
    host.until(&started.run.id, step_runs).await;
    let plugins = &host.orchestrator.plugins;
    let calls = || plugins.crash_state(ID, &old.digest()).unwrap().calls;
    while calls() == 0 {
        tokio::task::yield_now().await;
    }

    host.install(&Component::new("2.0.0")).await;
    let swapped = host.activate("2.0.0").await;
    assert_eq!(swapped.outcome, ActivationOutcome::Active);
    assert_eq!(host.answered().await, "2.0.0");
    // The old call goes on, so the activation is not over.
    assert_eq!(calls(), 1);
    let going_on = plugins.activation(&swapped.id).unwrap();
    assert!(going_on.finished.is_none(), "{going_on:?}");
    let error = plugins.remove(&actor(), ID, "1.0.0").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict);
    assert!(error.to_string().contains(&started.run.id), "{error}");

    host.open_gate();
    let view = host.until_state(&started.run.id, RunState::Succeeded).await;
    assert_eq!(version_of(&view), "1.0.0");
    let over = plugins.finished(&swapped.id).await.unwrap();
    assert_eq!(over.stage, Stage::Retire);
    plugins.remove(&actor(), ID, "1.0.0").await.unwrap();
}

/// Versions are swapped while runs start all the time: every run ends well, with the version
/// that it began with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_versions_are_swapped() {
    let host = Host::new().await;
    let versions = ["1.0.0", "2.0.0"];
    for version in versions {
        host.serve(&Component::new(version)).await;
    }
    let swapping = async {
        for round in 0..10 {
            let activation = host.activate(versions[round % 2]).await;
            assert_eq!(activation.outcome, ActivationOutcome::Active);
            let plugins = &host.orchestrator.plugins;
            plugins.finished(&activation.id).await.unwrap();
        }
    };
    let running = async {
        let mut answers = Vec::new();
        for _ in 0..100 {
            let started = host.start().await;
            let view = host.until_state(&started.run.id, RunState::Succeeded).await;
            assert_eq!(version_of(&view), view.plugins[0].version);
            answers.push(version_of(&view));
        }
        answers
    };
    let ((), answers) = tokio::join!(swapping, running);
    assert_eq!(answers.len(), 100);
}

#[tokio::test]
async fn one_activation_of_a_plugin_goes_on_at_a_time() {
    let host = Host::new().await;
    host.install(&Component::new("1.0.0")).await;
    host.install(&Component::new("2.0.0")).await;
    let plugins = &host.orchestrator.plugins;
    let first = plugins.begin(&actor(), ID, "1.0.0").await.unwrap();
    let second = plugins.begin(&actor(), ID, "2.0.0").await.unwrap_err();
    assert!(second.to_string().contains(&first.id), "{second}");
    plugins.finished(&first.id).await.unwrap();
    plugins.activate(&actor(), ID, "2.0.0").await.unwrap();
    let page = PageRequest {
        limit: 10,
        cursor: None,
    };
    assert_eq!(plugins.history(ID, &page).unwrap().items.len(), 2);
}

#[tokio::test]
async fn what_is_no_plugin_is_refused() {
    let host = Host::new().await;
    let plugins = &host.orchestrator.plugins;
    let refused = plugins
        .install(&actor(), b"nothing".to_vec(), Approval::Nothing)
        .await
        .unwrap_err();
    assert!(matches!(refused, PluginsError::Refused { .. }), "{refused}");
    for error in [
        plugins.get(ID).unwrap_err(),
        plugins.activate(&actor(), ID, "1.0.0").await.unwrap_err(),
        plugins.rollback(&actor(), ID).await.unwrap_err(),
        plugins.remove(&actor(), ID, "1.0.0").await.unwrap_err(),
        plugins.release(&actor(), ID, None).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), ErrorCode::NotFound, "{error}");
    }
}
