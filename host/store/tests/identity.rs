//! Users, roles, tokens and grants.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod common;

use std::time::Duration;

use cofferdam_store::{
    AuditFilter, EffectiveRole, GrantFilter, NewGrant, NewToken, PageRequest, Role, StoreError,
    Time, new_grant_id, new_token_id,
};
use common::{Place, audit};

fn token(user: &str) -> NewToken {
    NewToken {
        id: new_token_id(),
        user: user.to_owned(),
        label: "laptop".to_owned(),
        hash: "$argon2id$v=19$hash".to_owned(),
        expires: None,
    }
}

fn grant(user: &str, project: &str, role: Role, expires: Time) -> NewGrant {
    NewGrant {
        id: new_grant_id(),
        user: user.to_owned(),
        project: project.to_owned(),
        role,
        reason: "incident".to_owned(),
        granted_by: "ada".to_owned(),
        expires,
    }
}

#[test]
fn the_first_admin_is_made_once() {
    let place = Place::new();
    let store = &place.store;
    let first = token("admin");
    assert!(
        store
            .create_first_admin(&first, &audit("token.create"))
            .unwrap()
    );
    assert!(
        !store
            .create_first_admin(&token("admin"), &audit("token.create"))
            .unwrap()
    );
    assert_eq!(store.tokens(None).unwrap().len(), 1);
    assert_eq!(store.token(&first.id).unwrap().hash, first.hash);
    let roles = store.effective_roles("admin", Time::now()).unwrap();
    assert_eq!(
        roles,
        [EffectiveRole {
            project: "*".to_owned(),
            role: Role::Admin,
            grant: None,
            expires: None
        }]
    );
    // Also a revoked token shows that there was a first start.
    store
        .revoke_token(&first.id, &audit("token.revoke"))
        .unwrap();
    assert!(
        !store
            .create_first_admin(&token("admin"), &audit("token.create"))
            .unwrap()
    );
}

#[test]
fn tokens_are_never_shown_with_their_hash() {
    let place = Place::new();
    let store = &place.store;
    store.create_user("bob", &audit("user.create")).unwrap();
    let made = store
        .create_token(&token("bob"), &audit("token.create"))
        .unwrap();
    assert!(!serde_json::to_string(&made).unwrap().contains("argon2"));
    store.touch_token(&made.id, Time(2000)).unwrap();
    store.touch_token(&made.id, Time(1000)).unwrap();
    assert_eq!(store.token(&made.id).unwrap().last_used, Some(Time(2000)));
    store
        .revoke_token(&made.id, &audit("token.revoke"))
        .unwrap();
    assert!(store.token(&made.id).unwrap().revoked.is_some());
    assert!(matches!(
        store.revoke_token(&made.id, &audit("token.revoke")),
        Err(StoreError::Conflict { .. })
    ));
    assert!(matches!(
        store.create_token(&token("nobody"), &audit("token.create")),
        Err(StoreError::NotFound { what: "user", .. })
    ));
}

#[test]
fn roles_come_from_bindings_and_grants_that_count() {
    let place = Place::new();
    let store = &place.store;
    assert!(matches!(
        store.bind_role("bob", "p", Role::Read, &audit("role.bind")),
        Err(StoreError::NotFound { .. })
    ));
    store.create_user("bob", &audit("user.create")).unwrap();
    assert!(matches!(
        store.create_user("bob", &audit("user.create")),
        Err(StoreError::Exists { .. })
    ));
    store
        .bind_role("bob", "p", Role::Read, &audit("role.bind"))
        .unwrap();
    store
        .bind_role("bob", "p", Role::Deploy, &audit("role.bind"))
        .unwrap();
    let now = Time::now();
    let hour = now.plus(Duration::from_secs(3600));
    let made = store
        .create_grant(
            &grant("bob", "q", Role::Admin, hour),
            &audit("grant.create"),
        )
        .unwrap();
    assert!(matches!(
        store.create_grant(
            &grant("bob", "q", Role::Admin, Time(1)),
            &audit("grant.create")
        ),
        Err(StoreError::Invalid { .. })
    ));
    let roles = |at: Time| -> Vec<(String, Role)> {
        store
            .effective_roles("bob", at)
            .unwrap()
            .into_iter()
            .map(|role| (role.project, role.role))
            .collect()
    };
    let bound = ("p".to_owned(), Role::Deploy);
    let granted = ("q".to_owned(), Role::Admin);
    assert_eq!(roles(now), [bound.clone(), granted.clone()]);
    assert_eq!(
        roles(hour),
        std::slice::from_ref(&bound),
        "it ends at its end"
    );
    store
        .set_user_disabled("bob", true, &audit("user.disable"))
        .unwrap();
    assert!(roles(now).is_empty());
    store
        .set_user_disabled("bob", false, &audit("user.enable"))
        .unwrap();
    assert_eq!(roles(now), [bound.clone(), granted]);
    let active = GrantFilter {
        user: Some("bob".to_owned()),
        active_at: Some(Time::now()),
        ..GrantFilter::default()
    };
    assert_eq!(store.grants(&active).unwrap(), std::slice::from_ref(&made));
    store
        .revoke_grant(&made.id, &audit("grant.revoke"))
        .unwrap();
    assert_eq!(roles(now), [bound]);
    assert!(store.grants(&active).unwrap().is_empty());
    assert!(store.grant(&made.id).unwrap().revoked.is_some());
    store
        .unbind_role("bob", "p", &audit("role.unbind"))
        .unwrap();
    assert!(roles(now).is_empty());
    assert!(matches!(
        store.unbind_role("bob", "p", &audit("role.unbind")),
        Err(StoreError::NotFound { .. })
    ));
}

#[test]
fn a_removed_user_can_do_nothing_even_after_the_name_is_taken_again() {
    let place = Place::new();
    let store = &place.store;
    store.create_user("bob", &audit("user.create")).unwrap();
    store
        .bind_role("bob", "*", Role::Admin, &audit("role.bind"))
        .unwrap();
    let old = store
        .create_token(&token("bob"), &audit("token.create"))
        .unwrap();
    let hour = Time::now().plus(Duration::from_secs(3600));
    store
        .create_grant(
            &grant("bob", "*", Role::Admin, hour),
            &audit("grant.create"),
        )
        .unwrap();
    store.remove_user("bob", &audit("user.remove")).unwrap();
    assert!(matches!(
        store.user("bob"),
        Err(StoreError::NotFound { .. })
    ));
    store.create_user("bob", &audit("user.create")).unwrap();
    assert!(
        store
            .effective_roles("bob", Time::now())
            .unwrap()
            .is_empty()
    );
    assert!(store.token(&old.id).unwrap().revoked.is_some());
}

#[test]
fn every_change_is_in_the_audit_log_and_no_refusal_is() {
    let place = Place::new();
    let store = &place.store;
    store.create_user("bob", &audit("user.create")).unwrap();
    store.create_user("bob", &audit("user.create")).unwrap_err();
    let mut by_token = audit("user.disable");
    by_token.via = "tok-1".to_owned();
    by_token.address = Some("192.0.2.7".to_owned());
    by_token.project = None;
    store.set_user_disabled("bob", true, &by_token).unwrap();
    store.set_user_disabled("eve", true, &by_token).unwrap_err();
    store.record_audit(&audit("backup")).unwrap();
    let all = store
        .audit(&AuditFilter::default(), &PageRequest::default())
        .unwrap();
    let actions: Vec<&str> = all.items.iter().map(|each| each.action.as_str()).collect();
    assert_eq!(actions, ["backup", "user.disable", "user.create"]);
    assert_eq!(all.items[1].address.as_deref(), Some("192.0.2.7"));

    let page = |filter: AuditFilter, limit, cursor: Option<String>| {
        store
            .audit(&filter, &PageRequest { limit, cursor })
            .unwrap()
    };
    let users = AuditFilter {
        action: Some("user.".to_owned()),
        ..AuditFilter::default()
    };
    let first = page(users.clone(), 1, None);
    assert_eq!(first.items[0].action, "user.disable");
    let second = page(users, 1, first.next);
    assert_eq!(second.items[0].action, "user.create");
    assert_eq!(second.next, None);
    let of_project = AuditFilter {
        projects: Some(vec!["default".to_owned()]),
        ..AuditFilter::default()
    };
    assert_eq!(page(of_project, 10, None).items.len(), 2);
    let exact = AuditFilter {
        action: Some("user".to_owned()),
        ..AuditFilter::default()
    };
    assert!(page(exact, 10, None).items.is_empty());
    let bad = PageRequest {
        limit: 10,
        cursor: Some("x".to_owned()),
    };
    assert!(matches!(
        store.audit(&AuditFilter::default(), &bad),
        Err(StoreError::Invalid { .. })
    ));
}
