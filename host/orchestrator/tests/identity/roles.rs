//! Which role may do what where.

use crate::{World, local, verdict};
use cofferdam_orchestrator::identity::Visible;
use cofferdam_store::{PageRequest, Role};

/// What a user with one role gets when it asks for another one.
#[tokio::test]
async fn every_role_against_every_question() {
    let world = World::new();
    let holders: [(&str, &[(&str, Role)]); 8] = [
        ("nobody", &[]),
        ("read-web", &[("web", Role::Read)]),
        ("deploy-web", &[("web", Role::Deploy)]),
        ("admin-web", &[("web", Role::Admin)]),
        ("read-all", &[("*", Role::Read)]),
        ("deploy-all", &[("*", Role::Deploy)]),
        ("admin-all", &[("*", Role::Admin)]),
        ("mixed", &[("web", Role::Admin), ("*", Role::Read)]),
    ];
    let questions = [
        ("web", Role::Read),
        ("web", Role::Deploy),
        ("web", Role::Admin),
        ("db", Role::Read),
        ("db", Role::Deploy),
        ("db", Role::Admin),
        ("*", Role::Read),
        ("*", Role::Admin),
    ];
    // y: yes, d: denied, n: not found; in the order of the questions.
    let expected = [
        "nnnnnndd", "yddnnndd", "yydnnndd", "yyynnndd", "yddyddyd", "yydyydyd", "yyyyyyyy",
        "yyyyddyd",
    ];
    for ((name, roles), expected) in holders.into_iter().zip(expected) {
        let actor = world.user(name, roles).await;
        let found: String = questions
            .iter()
            .map(
                |(project, role)| match verdict(world.identity.require(&actor, project, *role)) {
                    "ok" => 'y',
                    "denied" => 'd',
                    "not-found" => 'n',
                    other => panic!("{other}"),
                },
            )
            .collect();
        assert_eq!(found, expected, "{name}");
        let can_read = world.identity.can_read(&actor, "web").unwrap();
        assert_eq!(can_read, !expected.starts_with('n'), "{name}");
    }
    for (project, role) in questions {
        world.identity.require(&local(), project, role).unwrap();
    }
}

#[tokio::test]
async fn a_thing_that_may_not_be_seen_looks_like_one_that_is_not_there() {
    let world = World::new();
    let actor = world.user("ada", &[("web", Role::Read)]).await;
    let hidden = world
        .identity
        .require_for(&actor, "db", Role::Read, "run", "run-1")
        .unwrap_err();
    assert_eq!(
        hidden.to_string(),
        "no run `run-1` exists, or you may not see it"
    );
    let seen = world
        .identity
        .require_for(&actor, "web", Role::Deploy, "run", "run-1")
        .unwrap_err();
    assert!(seen.to_string().contains("the role deploy"), "{seen}");
}

#[tokio::test]
async fn lists_are_narrowed_to_what_is_visible() {
    let world = World::new();
    let roles = [("web", Role::Admin), ("db", Role::Read)];
    let actor = world.user("ada", &roles).await;
    let only = |names: &[&str]| Visible::Only(names.iter().map(|n| (*n).to_owned()).collect());
    let visible = |role| world.identity.visible(&actor, role).unwrap();
    assert_eq!(visible(Role::Read), only(&["db", "web"]));
    assert_eq!(visible(Role::Deploy), only(&["web"]));
    assert_eq!(
        world.identity.visible(&local(), Role::Admin).unwrap(),
        Visible::All
    );
}

#[tokio::test]
async fn a_role_given_or_taken_counts_for_the_next_question() {
    let world = World::new();
    let actor = world.user("ada", &[]).await;
    let ask = || verdict(world.identity.require(&actor, "web", Role::Deploy));
    let operator = local();
    let set = |role| world.identity.set_role(&operator, "ada", "web", role);
    assert_eq!(ask(), "not-found");
    set(Some(Role::Deploy)).await.unwrap();
    assert_eq!(ask(), "ok");
    set(Some(Role::Read)).await.unwrap();
    assert_eq!(ask(), "denied");
    set(None).await.unwrap();
    assert_eq!(ask(), "not-found");
    assert_eq!(verdict(set(None).await), "not-found");
}

#[tokio::test]
async fn a_change_by_another_process_counts_at_once_too() {
    let world = World::new();
    let actor = world.user("ada", &[("web", Role::Read)]).await;
    world.identity.require(&actor, "web", Role::Read).unwrap();
    let other = cofferdam_store::Store::open(world.path("cofferdam.db")).unwrap();
    let other = cofferdam_orchestrator::identity::Identity::new(other);
    other.set_role(&local(), "ada", "web", None).await.unwrap();
    assert_eq!(
        verdict(world.identity.require(&actor, "web", Role::Read)),
        "not-found"
    );
}

#[tokio::test]
async fn the_last_admin_stays() {
    let world = World::new();
    let identity = &world.identity;
    world.user("ada", &[("*", Role::Admin)]).await;
    world.user("bob", &[("web", Role::Admin)]).await;
    assert_eq!(
        verdict(identity.set_role(&local(), "ada", "*", None).await),
        "conflict"
    );
    assert_eq!(
        verdict(
            identity
                .set_role(&local(), "ada", "*", Some(Role::Deploy))
                .await
        ),
        "conflict"
    );
    assert_eq!(
        verdict(identity.remove_user(&local(), "ada").await),
        "conflict"
    );
    assert_eq!(
        verdict(identity.set_user_disabled(&local(), "ada", true).await),
        "conflict"
    );
    // Who is no admin of all can always go.
    identity
        .set_role(&local(), "bob", "*", Some(Role::Read))
        .await
        .unwrap();
    identity.set_role(&local(), "bob", "*", None).await.unwrap();
    // A disabled admin does not stand in.
    identity
        .set_role(&local(), "bob", "*", Some(Role::Admin))
        .await
        .unwrap();
    identity
        .set_user_disabled(&local(), "bob", true)
        .await
        .unwrap();
    assert_eq!(
        verdict(identity.remove_user(&local(), "ada").await),
        "conflict"
    );
    identity
        .set_user_disabled(&local(), "bob", false)
        .await
        .unwrap();
    identity.remove_user(&local(), "ada").await.unwrap();
    assert_eq!(
        verdict(identity.remove_user(&local(), "bob").await),
        "conflict"
    );
}

#[tokio::test]
async fn two_admins_removing_each_other_leave_one() {
    let world = World::new();
    let ada = world.user("ada", &[("*", Role::Admin)]).await;
    let bob = world.user("bob", &[("*", Role::Admin)]).await;
    let (one, two) = tokio::join!(
        world.identity.remove_user(&ada, "bob"),
        world.identity.remove_user(&bob, "ada"),
    );
    let ends = [verdict(one), verdict(two)];
    assert_eq!(
        ends.iter().filter(|end| **end == "ok").count(),
        1,
        "{ends:?}"
    );
    assert_eq!(world.store.users().unwrap().len(), 1);
}

#[tokio::test]
async fn users_are_shown_to_those_who_rule_over_them() {
    let world = World::new();
    world.user("root", &[("*", Role::Admin)]).await;
    let lead = world.user("lead", &[("web", Role::Admin)]).await;
    let dev = world
        .user("dev", &[("web", Role::Read), ("db", Role::Read)])
        .await;
    world.user("other", &[("db", Role::Admin)]).await;
    let shown = |actor| -> Vec<String> {
        let page = PageRequest::default();
        let views = world.identity.users(actor, &page).unwrap().items;
        views
            .into_iter()
            .map(|view| {
                let roles: Vec<String> = view
                    .roles
                    .iter()
                    .map(|role| format!("{}:{}", role.project, role.role))
                    .collect();
                format!("{} {}", view.user.name, roles.join(","))
            })
            .collect()
    };
    let operator = local();
    assert_eq!(shown(&operator).len(), 4);
    assert_eq!(shown(&lead), ["dev web:read", "lead web:admin"]);
    assert_eq!(shown(&dev), ["dev db:read,web:read"]);
    assert_eq!(verdict(world.identity.user(&dev, "lead")), "not-found");
    assert_eq!(verdict(world.identity.user(&lead, "dev")), "ok");
}

#[tokio::test]
async fn pages_follow_each_other() {
    let world = World::new();
    for number in 0..5 {
        world.user(&format!("user{number}"), &[]).await;
    }
    let mut seen = Vec::new();
    let mut page = PageRequest {
        limit: 2,
        cursor: None,
    };
    loop {
        let answer = world.identity.users(&local(), &page).unwrap();
        assert!(answer.items.len() <= 2);
        seen.extend(answer.items.into_iter().map(|view| view.user.name));
        page.cursor = answer.next;
        if page.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["user0", "user1", "user2", "user3", "user4"]);
    page.limit = 0;
    assert_eq!(verdict(world.identity.users(&local(), &page)), "invalid");
}
