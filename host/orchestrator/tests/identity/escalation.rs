//! Attempts to give what one does not have.

use crate::{World, in_seconds, local, verdict};
use cofferdam_orchestrator::identity::{Actor, GrantRequest, TokenRequest};
use cofferdam_store::{Role, Time};

fn grant(user: &str, project: &str, role: Role, expires: Time) -> GrantRequest {
    GrantRequest {
        user: user.to_owned(),
        project: project.to_owned(),
        role,
        reason: "test".to_owned(),
        expires,
    }
}

/// What each kind of user gets for each attempt.
#[tokio::test]
async fn attempts_by_everybody() {
    let world = World::new();
    let identity = &world.identity;
    world.user("victim", &[]).await;
    let cases: [(&str, &[(&str, Role)], [&str; 9]); 5] = [
        (
            "nobody",
            &[],
            [
                "denied",
                "not-found",
                "not-found",
                "denied",
                "not-found",
                "denied",
                "denied",
                "denied",
                "denied",
            ],
        ),
        (
            "reader",
            &[("web", Role::Read)],
            [
                "denied",
                "denied",
                "not-found",
                "denied",
                "denied",
                "denied",
                "denied",
                "denied",
                "denied",
            ],
        ),
        (
            "deployer",
            &[("*", Role::Deploy)],
            [
                "denied", "denied", "denied", "denied", "denied", "denied", "denied", "denied",
                "denied",
            ],
        ),
        (
            "lead",
            &[("web", Role::Admin)],
            [
                "denied",
                "ok",
                "not-found",
                "denied",
                "ok",
                "denied",
                "denied",
                "denied",
                "denied",
            ],
        ),
        (
            "root",
            &[("*", Role::Admin)],
            ["ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok"],
        ),
    ];
    for (name, roles, expected) in cases {
        let actor = world.user(name, roles).await;
        let soon = in_seconds(60);
        let token = TokenRequest {
            user: Some("victim".to_owned()),
            label: "stolen".to_owned(),
            expires: None,
        };
        let found = [
            verdict(
                identity
                    .set_role(&actor, name, "*", Some(Role::Admin))
                    .await,
            ),
            verdict(
                identity
                    .set_role(&actor, name, "web", Some(Role::Admin))
                    .await,
            ),
            verdict(
                identity
                    .set_role(&actor, name, "db", Some(Role::Admin))
                    .await,
            ),
            verdict(
                identity
                    .create_grant(&actor, grant(name, "*", Role::Admin, soon))
                    .await,
            ),
            verdict(
                identity
                    .create_grant(&actor, grant("victim", "web", Role::Admin, soon))
                    .await,
            ),
            verdict(identity.create_token(&actor, token).await),
            verdict(identity.create_user(&actor, &format!("{name}-2")).await),
            verdict(identity.set_user_disabled(&actor, "victim", true).await),
            verdict(identity.set_user_disabled(&actor, "victim", false).await),
        ];
        assert_eq!(found, expected, "{name}");
    }
}

/// An admin of `web` by a grant that ends in a minute.
async fn acting_admin(world: &World) -> Actor {
    let actor = world.user("stand-in", &[]).await;
    let request = grant("stand-in", "web", Role::Admin, in_seconds(60));
    world
        .identity
        .create_grant(&local(), request)
        .await
        .unwrap();
    world.identity.require(&actor, "web", Role::Admin).unwrap();
    actor
}

#[tokio::test]
async fn who_is_admin_for_a_while_gives_nothing_for_good() {
    let world = World::new();
    let identity = &world.identity;
    let actor = acting_admin(&world).await;
    let own = identity.set_role(&actor, "stand-in", "web", Some(Role::Admin));
    assert_eq!(verdict(own.await), "denied");
    let later = grant("stand-in", "web", Role::Read, in_seconds(3600));
    assert_eq!(
        verdict(identity.create_grant(&actor, later).await),
        "invalid"
    );
    let sooner = grant("stand-in", "web", Role::Read, in_seconds(30));
    assert_eq!(verdict(identity.create_grant(&actor, sooner).await), "ok");
}

#[tokio::test]
async fn who_is_admin_of_all_for_a_while_makes_no_tokens_of_others() {
    let world = World::new();
    let identity = &world.identity;
    world.user("root", &[("*", Role::Admin)]).await;
    let actor = world.user("stand-in", &[]).await;
    let request = grant("stand-in", "*", Role::Admin, in_seconds(60));
    identity.create_grant(&local(), request).await.unwrap();
    let token = TokenRequest {
        user: Some("root".to_owned()),
        label: "for keeps".to_owned(),
        expires: None,
    };
    assert_eq!(
        verdict(identity.create_token(&actor, token).await),
        "denied"
    );
    assert_eq!(
        verdict(identity.create_user(&actor, "mine").await),
        "denied"
    );
    assert_eq!(
        verdict(identity.remove_user(&actor, "root").await),
        "denied"
    );
}

#[tokio::test]
async fn a_token_makes_none_that_lasts_longer() {
    let world = World::new();
    let identity = &world.identity;
    world.user("ada", &[]).await;
    let short = world.token("ada", Some(in_seconds(60))).await;
    let actor = identity.authenticate(&short.text, None).await.unwrap();
    let attempt = |expires| {
        let request = TokenRequest {
            user: None,
            label: "longer".to_owned(),
            expires,
        };
        identity.create_token(&actor, request)
    };
    assert_eq!(verdict(attempt(None).await), "invalid");
    assert_eq!(verdict(attempt(Some(in_seconds(3600))).await), "invalid");
    assert_eq!(verdict(attempt(Some(in_seconds(30))).await), "ok");
    let past = attempt(Some(Time::now().minus(std::time::Duration::from_secs(1)))).await;
    assert_eq!(verdict(past), "invalid");
}

#[tokio::test]
async fn tokens_of_others_are_neither_seen_nor_revoked() {
    let world = World::new();
    let identity = &world.identity;
    let ada = world.user("ada", &[("web", Role::Admin)]).await;
    world.user("bob", &[]).await;
    let bobs = world.token("bob", None).await.token;
    let page = cofferdam_store::PageRequest::default();
    assert_eq!(verdict(identity.tokens(&ada, Some("bob"), &page)), "denied");
    let own = identity.tokens(&ada, None, &page).unwrap();
    assert!(own.items.iter().all(|token| token.user == "ada"));
    assert_eq!(
        verdict(identity.revoke_token(&ada, &bobs.id).await),
        "not-found"
    );
    assert_eq!(
        verdict(
            identity
                .revoke_token(&ada, "tok-01J8Z3N6QK5W7R9T2V4X6Y8A0B")
                .await
        ),
        "not-found"
    );
    assert!(identity.tokens(&local(), None, &page).unwrap().items.len() >= 3);
}

#[tokio::test]
async fn the_local_account_is_not_the_user_of_the_same_name() {
    let world = World::new();
    world.user("operator", &[]).await;
    // The owner of the state folder makes a token of the user called as the account; no
    // token of its own is there whose expiry would count.
    assert!(world.token("operator", None).await.token.expires.is_none());
}
