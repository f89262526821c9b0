//! Going back and removing.

use crate::common::{Component, Configured, Host, ID, actor};
use cofferdam_contract::types::ErrorCode;
use cofferdam_orchestrator::Actor;
use cofferdam_orchestrator::catalogue::StepReference;
use cofferdam_orchestrator::plugins::{ActivationOutcome, Approval, Cause, PluginsError};
use cofferdam_store::{NewToken, PageRequest, Role, new_token_id};

#[tokio::test]
async fn rolling_back_goes_to_the_version_before_and_further() {
    let host = Host::new().await;
    let plugins = &host.orchestrator.plugins;
    host.serve(&Component::new("1.0.0")).await;
    let error = plugins.rollback(&actor(), ID).await.unwrap_err();
    assert!(
        matches!(error, PluginsError::NothingBefore { .. }),
        "{error}"
    );
    host.serve(&Component::new("2.0.0")).await;
    host.serve(&Component::new("3.0.0")).await;
    for expected in ["2.0.0", "1.0.0"] {
        let back = plugins.rollback(&actor(), ID).await.unwrap();
        assert_eq!(back.outcome, ActivationOutcome::Active);
        assert_eq!(back.cause, Cause::Rollback);
        plugins.finished(&back.id).await.unwrap();
        assert_eq!(host.answered().await, expected);
    }
    plugins.rollback(&actor(), ID).await.unwrap_err();
    // What was removed is passed over.
    host.serve(&Component::new("4.0.0")).await;
    host.serve(&Component::new("5.0.0")).await;
    plugins.remove(&actor(), ID, "4.0.0").await.unwrap();
    plugins.rollback(&actor(), ID).await.unwrap();
    assert_eq!(host.answered().await, "1.0.0");
    // A version is not before itself: 1, 6, 1, without the 6.
    host.serve(&Component::new("6.0.0")).await;
    let again = host.activate("1.0.0").await;
    plugins.finished(&again.id).await.unwrap();
    for version in ["2.0.0", "3.0.0", "5.0.0", "6.0.0"] {
        plugins.remove(&actor(), ID, version).await.unwrap();
    }
    let error = plugins.rollback(&actor(), ID).await.unwrap_err();
    assert!(
        matches!(error, PluginsError::NothingBefore { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn the_last_version_is_removed_with_the_plugin() {
    let host = Host::new().await;
    let plugins = &host.orchestrator.plugins;
    let (one, two) = (Component::new("1.0.0"), Component::new("2.0.0"));
    host.serve(&one).await;
    host.serve(&two).await;
    let error = plugins.remove(&actor(), ID, "2.0.0").await.unwrap_err();
    assert!(error.to_string().contains("active"), "{error}");
    plugins.remove(&actor(), ID, "1.0.0").await.unwrap();
    assert!(!host.component_file(&one).exists());
    assert_eq!(host.answered().await, "2.0.0");
    plugins.remove(&actor(), ID, "2.0.0").await.unwrap();
    assert!(plugins.list().unwrap().is_empty());
    // A run that has ended can be retried, and needs the component.
    assert!(host.component_file(&two).exists());
    let uses: StepReference = ID.parse().unwrap();
    assert!(host.orchestrator.catalogue.resolve(&uses).is_err());
    let page = PageRequest {
        limit: 10,
        cursor: None,
    };
    let newest = plugins.history(ID, &page).unwrap().items.remove(0);
    assert_eq!((newest.cause, newest.to), (Cause::Remove, None));
    let host = host.restarted(Configured::default()).await;
    assert!(host.orchestrator.plugins.list().unwrap().is_empty());
}

#[tokio::test]
async fn only_admins_of_all_projects_change_plugins() {
    let host = Host::new().await;
    host.install(&Component::new("1.0.0")).await;
    let store = &host.orchestrator.store;
    let audit = actor().audit("user.create", "eve", None, serde_json::json!({}));
    store.create_user("eve", &audit).unwrap();
    store
        .bind_role("eve", "default", Role::Admin, &audit)
        .unwrap();
    let token = NewToken {
        id: new_token_id(),
        user: "eve".to_owned(),
        label: String::new(),
        hash: String::new(),
        expires: None,
    };
    store.create_token(&token, &audit).unwrap();
    let eve = Actor::with_token("eve", token.id, None);
    let plugins = &host.orchestrator.plugins;
    let bytes = Component::new("2.0.0").bytes();
    for error in [
        plugins.propose(&eve, bytes.clone()).await.unwrap_err(),
        plugins
            .install(&eve, bytes, Approval::Proposed)
            .await
            .unwrap_err(),
        plugins.activate(&eve, ID, "1.0.0").await.unwrap_err(),
        plugins.rollback(&eve, ID).await.unwrap_err(),
        plugins.remove(&eve, ID, "1.0.0").await.unwrap_err(),
        plugins.release(&eve, ID, None).await.unwrap_err(),
    ] {
        assert!(
            matches!(error.code(), ErrorCode::Denied | ErrorCode::NotFound),
            "{error}"
        );
        assert!(matches!(error, PluginsError::Identity(_)), "{error}");
    }
    assert_eq!(plugins.list().unwrap()[0].versions.len(), 1);
}
