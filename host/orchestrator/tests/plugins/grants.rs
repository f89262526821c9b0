//! What a version wants, and who granted it that.

use crate::common::{Component, Configured, Host, ID, actor};
use cofferdam_orchestrator::grants::PluginGrants;
use cofferdam_orchestrator::plugins::{ActivationOutcome, Approval, PluginsError, Stage};
use cofferdam_store::RunState;
use serde_json::{Value, json};

fn wanting(version: &str, secrets: &[&str]) -> Component {
    let mut component = Component::new(version);
    component.secrets = secrets.iter().map(|name| (*name).to_owned()).collect();
    component
}

fn configured(names: &[&str]) -> Configured {
    let grants: PluginGrants =
        serde_json::from_value(json!({ "secrets": { "names": names } })).unwrap();
    Configured {
        grants,
        ..Configured::default()
    }
}

/// For each secret that the component wants: whether it was denied.
async fn denied(host: &Host) -> Value {
    let started = host.start().await;
    let view = host.until_state(&started.run.id, RunState::Succeeded).await;
    view.run.outputs.unwrap()["denied"].clone()
}

#[tokio::test]
async fn what_wants_more_is_refused_until_granted() {
    let host = Host::new().await;
    let plugins = &host.orchestrator.plugins;
    let one = wanting("1.0.0", &["a"]);
    let error = plugins
        .install(&actor(), one.bytes(), Approval::Nothing)
        .await
        .unwrap_err();
    let PluginsError::NeedsGrant { asks, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(asks.missing.added[0].why, "it logs in");
    assert!(asks.lines.contains("[plugins.scripted.grants.secrets]"));
    assert!(plugins.list().unwrap().is_empty());
    host.serve(&one).await;
    assert_eq!(denied(&host).await, json!([false]));

    // The same wishes need no new grant; a wider one does.
    let same = wanting("1.1.0", &["a"]);
    let proposal = plugins.propose(&actor(), same.bytes()).await.unwrap();
    assert!(proposal.missing.wants_no_more() && proposal.lines.is_empty());
    assert_eq!(proposal.active.as_deref(), Some("1.0.0"));
    assert!(!proposal.installed);
    let installed = plugins
        .install(&actor(), same.bytes(), Approval::Nothing)
        .await
        .unwrap();
    assert_eq!(installed.record.grants["secrets"]["names"], json!(["a"]));
    let wider = wanting("2.0.0", &["a", "b"]);
    let error = plugins
        .install(&actor(), wider.bytes(), Approval::Nothing)
        .await
        .unwrap_err();
    let PluginsError::NeedsGrant { asks, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(asks.active.as_deref(), Some("1.0.0"));
    assert_eq!(asks.missing.widened[0].after["names"], json!(["a", "b"]));

    // Narrower than proposed: the plugin gets what was granted and no more.
    let narrow = json!({ "secrets": { "names": ["b"] } });
    let approval = Approval::Given(narrow.as_object().unwrap().clone());
    plugins
        .install(&actor(), wider.bytes(), approval)
        .await
        .unwrap();
    host.activate("2.0.0").await;
    assert_eq!(denied(&host).await, json!([true, false]));
    // Installing it once more keeps the narrower grant, unless what it proposes is granted;
    // that counts at once, also for what is active.
    plugins
        .install(&actor(), wider.bytes(), Approval::Nothing)
        .await
        .unwrap();
    assert_eq!(denied(&host).await, json!([true, false]));
    host.install(&wider).await;
    assert_eq!(denied(&host).await, json!([false, false]));
    // What wants less gets less.
    let less = wanting("2.1.0", &["a"]);
    let installed = plugins
        .install(&actor(), less.bytes(), Approval::Nothing)
        .await
        .unwrap();
    assert_eq!(installed.record.grants["secrets"]["names"], json!(["a"]));
    let host = host.restarted(Configured::default()).await;
    assert_eq!(denied(&host).await, json!([false, false]));
}

#[tokio::test]
async fn the_configuration_wins_and_may_change() {
    let host = Host::with(configured(&["x"])).await;
    let plugins = &host.orchestrator.plugins;
    let component = wanting("1.0.0", &["a"]);
    let installed = plugins
        .install(&actor(), component.bytes(), Approval::Nothing)
        .await
        .unwrap();
    assert!(installed.record.grants.is_empty());
    host.activate("1.0.0").await;
    assert_eq!(denied(&host).await, json!([true]));

    // Without the table nobody has granted it.
    let host = host.restarted(Configured::default()).await;
    let failed = host.activate("1.0.0").await;
    assert_eq!(failed.outcome, ActivationOutcome::Failed);
    assert_eq!(failed.stage, Stage::Compare);
    let reason = failed.reason.unwrap();
    assert!(
        reason.contains("[plugins.scripted.grants.secrets]"),
        "{reason}"
    );
    let audit = host.orchestrator.plugins.get(ID).unwrap();
    assert_eq!(audit.versions[0].record.actor, "tester");
}

#[tokio::test]
async fn grants_that_cannot_be_used_are_refused() {
    let host = Host::new().await;
    let plugins = &host.orchestrator.plugins;
    let bytes = wanting("1.0.0", &["a"]).bytes();
    for (grants, word) in [
        (json!({ "tool": { "sh": { "program": "sh" } } }), "`tool`"),
        (json!({ "secrets": { "nmaes": ["a"] } }), "nmaes"),
    ] {
        let approval = Approval::Given(grants.as_object().unwrap().clone());
        let error = plugins
            .install(&actor(), bytes.clone(), approval)
            .await
            .unwrap_err();
        assert!(matches!(error, PluginsError::Refused { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
    assert!(plugins.list().unwrap().is_empty());
}
