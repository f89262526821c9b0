//! Tokens: from the first one to one that counts no more.

use crate::{World, in_seconds, local, verdict};
use cofferdam_orchestrator::identity::{FIRST_USER, Identity, TokenRequest, Via};
use cofferdam_store::{PageRequest, Role, Store, Time};
use std::net::IpAddr;
use std::time::Duration;

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[tokio::test]
async fn the_first_token_is_made_once() {
    let world = World::new();
    let first = world.identity.bootstrap().await.unwrap().unwrap();
    assert!(world.identity.bootstrap().await.unwrap().is_none());
    let actor = world
        .identity
        .authenticate(&first.text, None)
        .await
        .unwrap();
    assert_eq!(actor.user, FIRST_USER);
    world.identity.require(&actor, "*", Role::Admin).unwrap();
    // Nor does it come again when that token is gone.
    world
        .identity
        .revoke_token(&local(), &first.id)
        .await
        .unwrap();
    assert!(world.identity.bootstrap().await.unwrap().is_none());
    assert!(!format!("{first:?}").contains(first.text.as_str()));
}

/// The other side of [`of_two_processes_one_makes_the_first_token`]; on its own it does nothing.
#[tokio::test]
async fn bootstrap_in_a_process_of_its_own() {
    let Some(path) = std::env::var_os("COFFERDAM_TEST_BOOTSTRAP") else {
        return;
    };
    let identity = Identity::new(Store::open(path).unwrap());
    let made = identity.bootstrap().await.unwrap().is_some();
    println!("\nbootstrap={made}");
}

#[tokio::test]
async fn of_two_processes_one_makes_the_first_token() {
    let world = World::new();
    let program = std::env::current_exe().unwrap();
    let children: Vec<_> = (0..4)
        .map(|_| {
            std::process::Command::new(&program)
                .args([
                    "--exact",
                    "tokens::bootstrap_in_a_process_of_its_own",
                    "--nocapture",
                ])
                .env("COFFERDAM_TEST_BOOTSTRAP", world.path("cofferdam.db"))
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut ends: Vec<bool> = children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{text}");
            let answer = text
                .lines()
                .find_map(|line| line.strip_prefix("bootstrap="));
            answer.unwrap_or_else(|| panic!("{text}")) == "true"
        })
        .collect();
    ends.sort_unstable();
    assert_eq!(ends, [false, false, false, true]);
    assert_eq!(world.store.tokens(None).unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_is_its_users_until_it_is_revoked() {
    let world = World::new();
    world.user("ada", &[("web", Role::Read)]).await;
    let created = world.token("ada", None).await;
    let here = address("192.0.2.7");
    let actor = world
        .identity
        .authenticate(&created.text, here)
        .await
        .unwrap();
    assert_eq!(actor.user, "ada");
    assert_eq!(actor.via, Via::Token(created.token.id.clone()));
    assert_eq!(actor.address, here);
    world
        .identity
        .revoke_token(&local(), &created.token.id)
        .await
        .unwrap();
    // What was verified and remembered does not help it, nor the actor made with it.
    let again = world.identity.authenticate(&created.text, here).await;
    assert_eq!(verdict(again), "unauthenticated");
    let question = world.identity.require(&actor, "web", Role::Read);
    assert_eq!(verdict(question), "unauthenticated");
    assert!(!world.identity.can_read(&actor, "web").unwrap());
    assert_eq!(
        verdict(world.identity.visible(&actor, Role::Read)),
        "unauthenticated"
    );
}

#[tokio::test]
async fn a_revocation_by_another_process_counts_at_once() {
    let world = World::new();
    world.user("ada", &[]).await;
    let created = world.token("ada", None).await;
    world
        .identity
        .authenticate(&created.text, None)
        .await
        .unwrap();
    let other = Identity::new(Store::open(world.path("cofferdam.db")).unwrap());
    other
        .revoke_token(&local(), &created.token.id)
        .await
        .unwrap();
    let again = world.identity.authenticate(&created.text, None).await;
    assert_eq!(verdict(again), "unauthenticated");
}

#[tokio::test]
async fn tokens_end_with_their_user() {
    let world = World::new();
    let identity = &world.identity;
    world.user("ada", &[("web", Role::Admin)]).await;
    let created = world.token("ada", None).await;
    let ask = || identity.authenticate(&created.text, None);
    assert_eq!(verdict(ask().await), "ok");
    identity
        .set_user_disabled(&local(), "ada", true)
        .await
        .unwrap();
    assert_eq!(verdict(ask().await), "unauthenticated");
    identity
        .set_user_disabled(&local(), "ada", false)
        .await
        .unwrap();
    let actor = ask().await.unwrap();
    identity.remove_user(&local(), "ada").await.unwrap();
    assert_eq!(verdict(ask().await), "unauthenticated");
    // A new user of the old name has none of what the old one had.
    identity.create_user(&local(), "ada").await.unwrap();
    assert_eq!(verdict(ask().await), "unauthenticated");
    assert_eq!(
        verdict(identity.require(&actor, "web", Role::Read)),
        "unauthenticated"
    );
    assert!(
        world
            .store
            .effective_roles("ada", Time::now())
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_token_expires_while_it_is_remembered() {
    let world = World::new();
    world.user("ada", &[]).await;
    let expires = Time::now().plus(Duration::from_millis(1500));
    let created = world.token("ada", Some(expires)).await;
    let mut seen = false;
    loop {
        let before = Time::now();
        let answer = verdict(world.identity.authenticate(&created.text, None).await);
        if before >= expires {
            assert_eq!(answer, "unauthenticated");
            break;
        }
        seen |= answer == "ok";
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(seen, "the token was never seen to count");
}

#[tokio::test]
async fn wrong_tokens_are_refused_and_then_held_up() {
    let world = World::new();
    world.user("ada", &[]).await;
    let known = world.token("ada", None).await;
    let fresh = world.token("ada", None).await;
    let (here, there) = (address("192.0.2.1"), address("192.0.2.2"));
    world
        .identity
        .authenticate(&known.text, here)
        .await
        .unwrap();
    let wrong = {
        let mut text = fresh.text.to_string();
        let last = if text.pop() == Some('0') { '1' } else { '0' };
        text.push(last);
        text
    };
    let other = format!("cof_01J8Z3N6QK5W7R9T2V4X6Y8A0B_{}", "0".repeat(64));
    for text in ["", "cof_x", "Bearer", wrong.as_str(), other.as_str()] {
        for _ in 0..2 {
            let answer = world.identity.authenticate(text, here).await;
            assert_eq!(verdict(answer), "unauthenticated", "{text}");
        }
    }
    let held_up = world.identity.authenticate(&wrong, here).await.unwrap_err();
    assert!(held_up.retry_after().is_some(), "{held_up}");
    // A right one that was not seen before has to wait as well: who it is costs a hash.
    let unseen = world.identity.authenticate(&fresh.text, here).await;
    assert_eq!(verdict(unseen), "too-many");
    // One that is known does not, and neither does anybody elsewhere.
    world
        .identity
        .authenticate(&known.text, here)
        .await
        .unwrap();
    world
        .identity
        .authenticate(&fresh.text, there)
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_of_a_token_is_kept_but_its_hash() {
    let world = World::new();
    world.user("ada", &[]).await;
    let created = world.token("ada", None).await;
    world
        .identity
        .authenticate(&created.text, None)
        .await
        .unwrap();
    let secret = created.text.rsplit('_').next().unwrap();
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!found, "{} holds the token", path.display());
    }
    let listed = world
        .identity
        .tokens(&local(), None, &PageRequest::default())
        .unwrap();
    let text = serde_json::to_string(&listed.items).unwrap();
    assert!(!text.contains("argon2"), "{text}");
    assert!(!format!("{created:?}").contains(secret));
}

#[tokio::test]
async fn use_is_noted() {
    let world = World::new();
    world.user("ada", &[]).await;
    let created = world.token("ada", None).await;
    assert!(created.token.last_used.is_none());
    let before = Time::now();
    world
        .identity
        .authenticate(&created.text, None)
        .await
        .unwrap();
    let used = world.store.token(&created.token.id).unwrap().last_used;
    assert!(used.unwrap() >= before);
    world
        .identity
        .authenticate(&created.text, None)
        .await
        .unwrap();
    assert_eq!(
        world.store.token(&created.token.id).unwrap().last_used,
        used
    );
}

#[tokio::test]
async fn many_first_uses_at_once_are_all_answered() {
    let world = World::new();
    world.user("ada", &[]).await;
    let created = world.token("ada", None).await;
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let (identity, text) = (world.identity.clone(), created.text.clone());
            tokio::spawn(async move { identity.authenticate(&text, None).await.map(|_| ()) })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_is_no_token_request_is_refused() {
    let world = World::new();
    world.user("ada", &[]).await;
    let good = || TokenRequest {
        user: Some("ada".to_owned()),
        label: "ci".to_owned(),
        expires: Some(in_seconds(60)),
    };
    let cases = [
        (
            TokenRequest {
                label: String::new(),
                ..good()
            },
            "invalid",
        ),
        (
            TokenRequest {
                label: "a\nb".to_owned(),
                ..good()
            },
            "invalid",
        ),
        (
            TokenRequest {
                expires: Some(Time::now()),
                ..good()
            },
            "invalid",
        ),
        (
            TokenRequest {
                user: Some("eve".to_owned()),
                ..good()
            },
            "not-found",
        ),
        // The owner of the state folder is no user.
        (
            TokenRequest {
                user: None,
                ..good()
            },
            "not-found",
        ),
        (good(), "ok"),
    ];
    for (request, expected) in cases {
        let shown = format!("{request:?}");
        let found = verdict(world.identity.create_token(&local(), request).await);
        assert_eq!(found, expected, "{shown}");
    }
}
