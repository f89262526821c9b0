//! Every change is written down, by whom it was made.

use crate::{World, in_seconds, local, verdict};
use cofferdam_orchestrator::identity::{GrantRequest, TokenRequest};
use cofferdam_orchestrator::redact::Redactor;
use cofferdam_orchestrator::secrets::SecretKeeper;
use cofferdam_store::{AuditFilter, PageRequest, Role};

#[tokio::test]
async fn each_change_has_its_record() {
    let world = World::new();
    let identity = &world.identity;
    let secrets = SecretKeeper::new(
        world.store.clone(),
        identity.clone(),
        world.path("secret.key"),
        Redactor::new(),
    );
    identity.bootstrap().await.unwrap();
    identity.create_user(&local(), "ada").await.unwrap();
    identity
        .set_role(&local(), "ada", "*", Some(Role::Admin))
        .await
        .unwrap();
    let request = TokenRequest {
        user: Some("ada".to_owned()),
        label: "ci".to_owned(),
        expires: None,
    };
    let created = identity.create_token(&local(), request).await.unwrap();
    let address = "192.0.2.3".parse().ok();
    let ada = identity.authenticate(&created.text, address).await.unwrap();
    identity.create_user(&ada, "bob").await.unwrap();
    let request = GrantRequest {
        user: "bob".to_owned(),
        project: "web".to_owned(),
        role: Role::Deploy,
        reason: "release".to_owned(),
        expires: in_seconds(60),
    };
    let grant = identity.create_grant(&ada, request).await.unwrap();
    identity.revoke_grant(&ada, &grant.id).await.unwrap();
    identity.set_user_disabled(&ada, "bob", true).await.unwrap();
    identity
        .set_user_disabled(&ada, "bob", false)
        .await
        .unwrap();
    let value = b"planted-value".to_vec();
    secrets.set(&ada, "web", "db", value.into()).await.unwrap();
    secrets.remove(&ada, "web", "db").await.unwrap();
    identity
        .set_role(&ada, "bob", "web", Some(Role::Read))
        .await
        .unwrap();
    identity.set_role(&ada, "bob", "web", None).await.unwrap();
    identity.remove_user(&ada, "bob").await.unwrap();
    identity
        .revoke_token(&ada, &created.token.id)
        .await
        .unwrap();
    assert_eq!(
        world.actions(),
        [
            "token.create",
            "user.create",
            "role.set",
            "token.create",
            "user.create",
            "grant.create",
            "grant.revoke",
            "user.disable",
            "user.enable",
            "secret.set",
            "secret.remove",
            "role.set",
            "role.remove",
            "user.remove",
            "token.revoke",
        ]
    );
    let filter = AuditFilter {
        actor: Some("ada".to_owned()),
        ..AuditFilter::default()
    };
    let records = identity
        .audit(&local(), filter, &PageRequest::default())
        .unwrap()
        .items;
    assert_eq!(records.len(), 11);
    for record in &records {
        assert_eq!(record.via, created.token.id);
        assert_eq!(record.address.as_deref(), Some("192.0.2.3"));
        let text = serde_json::to_string(record).unwrap();
        assert!(
            !text.contains("planted") && !text.contains("argon2"),
            "{text}"
        );
    }
    let given = records
        .iter()
        .find(|record| record.action == "grant.create")
        .unwrap();
    assert_eq!(given.target, grant.id);
    assert_eq!(given.project.as_deref(), Some("web"));
    assert_eq!(given.detail["reason"], "release");
}

#[tokio::test]
async fn a_refused_change_has_none() {
    let world = World::new();
    let actor = world.user("ada", &[("web", Role::Deploy)]).await;
    let before = world.actions();
    let identity = &world.identity;
    let refused = identity.set_role(&actor, "ada", "web", Some(Role::Admin));
    assert_eq!(verdict(refused.await), "denied");
    assert_eq!(verdict(identity.create_user(&actor, "x").await), "denied");
    assert_eq!(
        verdict(identity.create_user(&local(), "*").await),
        "invalid"
    );
    assert_eq!(world.actions(), before);
}

#[tokio::test]
async fn the_log_is_for_those_who_rule() {
    let world = World::new();
    let identity = &world.identity;
    let root = world.user("root", &[("*", Role::Admin)]).await;
    let lead = world.user("lead", &[("web", Role::Admin)]).await;
    let reader = world.user("reader", &[("*", Role::Read)]).await;
    identity
        .set_role(&local(), "reader", "db", Some(Role::Read))
        .await
        .unwrap();
    let page = PageRequest::default();
    let of = |projects: Option<&[&str]>| AuditFilter {
        projects: projects.map(|names| names.iter().map(|n| (*n).to_owned()).collect()),
        ..AuditFilter::default()
    };
    let projects = |actor, filter| -> Vec<Option<String>> {
        let records = identity.audit(actor, filter, &page).unwrap().items;
        records.into_iter().map(|record| record.project).collect()
    };
    let all = projects(&root, of(None));
    assert!(all.contains(&None) && all.contains(&Some("db".to_owned())));
    let own = projects(&lead, of(None));
    assert!(!own.is_empty());
    assert!(own.iter().all(|project| project.as_deref() == Some("web")));
    assert_eq!(
        verdict(identity.audit(&lead, of(Some(&["db"])), &page)),
        "denied"
    );
    assert_eq!(verdict(identity.audit(&reader, of(None), &page)), "denied");
    let one = PageRequest {
        limit: 1,
        cursor: None,
    };
    let first = identity.audit(&root, of(None), &one).unwrap();
    assert_eq!(first.items.len(), 1);
    let next = PageRequest {
        limit: 1,
        cursor: first.next,
    };
    let second = identity.audit(&root, of(None), &next).unwrap();
    assert!(second.items[0].id < first.items[0].id);
}
