//! Roles for a while.

use crate::{World, in_seconds, local, verdict};
use cofferdam_orchestrator::identity::{GrantRequest, LONGEST_GRANT};
use cofferdam_store::{GrantFilter, PageRequest, Role, Time};
use std::time::Duration;

fn request(user: &str, project: &str, expires: Time) -> GrantRequest {
    GrantRequest {
        user: user.to_owned(),
        project: project.to_owned(),
        role: Role::Deploy,
        reason: "night shift".to_owned(),
        expires,
    }
}

#[tokio::test]
async fn a_grant_counts_at_once_and_ends_at_once() {
    let world = World::new();
    let identity = &world.identity;
    let actor = world.user("ada", &[("web", Role::Read)]).await;
    let ask = || verdict(identity.require(&actor, "web", Role::Deploy));
    assert_eq!(ask(), "denied");
    let given = identity
        .create_grant(&local(), request("ada", "web", in_seconds(60)))
        .await
        .unwrap();
    assert_eq!(ask(), "ok");
    let revoked = identity.revoke_grant(&local(), &given.id).await.unwrap();
    assert!(revoked.revoked.is_some());
    assert_eq!(ask(), "denied");
    // Again changes nothing, and is written down once.
    identity.revoke_grant(&local(), &given.id).await.unwrap();
    let actions = world.actions();
    let times = actions.iter().filter(|action| *action == "grant.revoke");
    assert_eq!(times.count(), 1);
}

#[tokio::test]
async fn a_grant_ends_by_itself() {
    let world = World::new();
    let identity = &world.identity;
    let actor = world.user("ada", &[]).await;
    let expires = Time::now().plus(Duration::from_millis(300));
    identity
        .create_grant(&local(), request("ada", "web", expires))
        .await
        .unwrap();
    let mut seen = false;
    loop {
        // The clock is read on both sides of the question, so that no pause can mislead.
        let before = Time::now();
        let answer = verdict(identity.require(&actor, "web", Role::Deploy));
        let after = Time::now();
        if after < expires {
            assert_eq!(answer, "ok");
            seen = true;
        }
        if before >= expires {
            assert_eq!(answer, "not-found");
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let active = GrantFilter {
        active_at: Some(Time::now()),
        ..GrantFilter::default()
    };
    let page = PageRequest::default();
    assert!(
        identity
            .grants(&local(), active, &page)
            .unwrap()
            .items
            .is_empty()
    );
    let all = identity.grants(&local(), GrantFilter::default(), &page);
    assert_eq!(all.unwrap().items.len(), 1);
    assert!(seen, "the grant was never seen to count");
}

#[tokio::test]
async fn what_is_no_grant_is_refused() {
    let world = World::new();
    world.user("ada", &[]).await;
    let good = || request("ada", "web", in_seconds(60));
    let cases = [
        (
            "past",
            GrantRequest {
                expires: Time::now(),
                ..good()
            },
            "invalid",
        ),
        (
            "too long",
            GrantRequest {
                expires: Time::now().plus(LONGEST_GRANT + Duration::from_secs(60)),
                ..good()
            },
            "invalid",
        ),
        (
            "no reason",
            GrantRequest {
                reason: " ".to_owned(),
                ..good()
            },
            "invalid",
        ),
        (
            "project",
            GrantRequest {
                project: "a/b".to_owned(),
                ..good()
            },
            "invalid",
        ),
        (
            "nobody",
            GrantRequest {
                user: "eve".to_owned(),
                ..good()
            },
            "not-found",
        ),
        ("good", good(), "ok"),
    ];
    for (name, request, expected) in cases {
        let found = verdict(world.identity.create_grant(&local(), request).await);
        assert_eq!(found, expected, "{name}");
    }
}

#[tokio::test]
async fn grants_are_seen_and_ended_by_their_admins_and_holders() {
    let world = World::new();
    let identity = &world.identity;
    let holder = world.user("holder", &[]).await;
    let lead = world.user("lead", &[("web", Role::Admin)]).await;
    let reader = world.user("reader", &[("web", Role::Read)]).await;
    let other = world.user("other", &[("db", Role::Admin)]).await;
    let give = || identity.create_grant(&lead, request("holder", "web", in_seconds(60)));
    let page = PageRequest::default();
    let count = |actor| {
        let grants = identity.grants(actor, GrantFilter::default(), &page);
        grants.unwrap().items.len()
    };
    let given = give().await.unwrap();
    assert_eq!(given.granted_by, "lead");
    assert_eq!(
        [count(&holder), count(&lead), count(&reader), count(&other)],
        [1, 1, 0, 0]
    );
    assert_eq!(
        verdict(identity.revoke_grant(&reader, &given.id).await),
        "denied"
    );
    assert_eq!(
        verdict(identity.revoke_grant(&other, &given.id).await),
        "not-found"
    );
    assert_eq!(
        verdict(identity.revoke_grant(&holder, &given.id).await),
        "ok"
    );
    assert_eq!(
        verdict(identity.require(&holder, "web", Role::Read)),
        "not-found"
    );
    let again = give().await.unwrap();
    assert_eq!(verdict(identity.revoke_grant(&lead, &again.id).await), "ok");
}
