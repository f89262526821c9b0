//! Secrets: who may set them, and which plugin gets which.

use crate::{World, local, verdict};
use cofferdam_contract::services::Secrets;
use cofferdam_contract::types::ErrorCode;
use cofferdam_orchestrator::identity::Actor;
use cofferdam_orchestrator::redact::{MARK, Redactor};
use cofferdam_orchestrator::secrets::{LARGEST, SecretKeeper};
use cofferdam_orchestrator::tool::{Granted, Grants, PluginGrants, SecretsGrant};
use cofferdam_store::Role;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

fn keeper(world: &World) -> SecretKeeper {
    SecretKeeper::new(
        world.store.clone(),
        world.identity.clone(),
        world.path("secret.key"),
        Redactor::new(),
    )
}

async fn set(
    keeper: &SecretKeeper,
    actor: &Actor,
    project: &str,
    name: &str,
    value: &str,
) -> &'static str {
    let value = value.as_bytes().to_vec();
    verdict(keeper.set(actor, project, name, value.into()).await)
}

fn granted(names: &[&str]) -> Arc<Granted> {
    let grants = PluginGrants {
        secrets: (!names.is_empty()).then(|| SecretsGrant {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }),
        ..PluginGrants::default()
    };
    Grants::check([("deployer", &grants)], OsStr::new(""))
        .unwrap()
        .of("deployer")
}

#[tokio::test]
async fn every_role_against_every_function() {
    let world = World::new();
    let keeper = keeper(&world);
    assert_eq!(
        set(&keeper, &local(), "web", "db", "planted-value").await,
        "ok"
    );
    let cases: [(&str, &[(&str, Role)], [&str; 3]); 6] = [
        ("nobody", &[], ["not-found", "not-found", "not-found"]),
        (
            "elsewhere",
            &[("db", Role::Admin)],
            ["not-found", "not-found", "not-found"],
        ),
        (
            "reader",
            &[("web", Role::Read)],
            ["denied", "denied", "denied"],
        ),
        (
            "deployer",
            &[("web", Role::Deploy)],
            ["denied", "ok", "denied"],
        ),
        ("lead", &[("web", Role::Admin)], ["ok", "ok", "ok"]),
        ("root", &[("*", Role::Admin)], ["ok", "ok", "not-found"]),
    ];
    for (name, roles, expected) in cases {
        let actor = world.user(name, roles).await;
        let found = [
            set(&keeper, &actor, "web", "other", "another-value").await,
            verdict(keeper.list(&actor, Some("web"))),
            verdict(keeper.remove(&actor, "web", "db").await),
        ];
        assert_eq!(found, expected, "{name}");
    }
}

#[tokio::test]
async fn a_step_gets_what_was_granted_of_its_own_project() {
    let world = World::new();
    let keeper = keeper(&world);
    for (project, name, value) in [
        ("web", "db-main", "value-of-web"),
        ("web", "tls", "value-of-tls"),
        ("other", "db-other", "value-of-other"),
    ] {
        assert_eq!(set(&keeper, &local(), project, name, value).await, "ok");
    }
    let step = keeper.for_step("web", granted(&["db-*"]));
    assert_eq!(step.get("db-main").await.unwrap(), b"value-of-web");
    let cases = [
        ("tls", ErrorCode::Denied),
        ("db-other", ErrorCode::NotFound),
        ("db-none", ErrorCode::NotFound),
        ("", ErrorCode::Denied),
    ];
    for (name, code) in cases {
        assert_eq!(step.get(name).await.unwrap_err().code, code, "{name}");
    }
    let denied = step.get("tls").await.unwrap_err();
    assert!(
        denied
            .hint
            .unwrap()
            .contains("[plugins.deployer.grants.secrets]")
    );
    let nothing = keeper.for_step("web", granted(&[]));
    assert_eq!(
        nothing.get("db-main").await.unwrap_err().code,
        ErrorCode::Denied
    );
}

#[tokio::test]
async fn what_was_handed_out_is_redacted_in_its_project() {
    let world = World::new();
    assert_eq!(
        set(&keeper(&world), &local(), "web", "db", "value-of-web").await,
        "ok"
    );
    // Another host on the same state, which has not seen the value set.
    let keeper = keeper(&world);
    let text = "it is value-of-web";
    assert_eq!(keeper.redactor("web").text(text), text);
    let step = keeper.for_step("web", granted(&["*"]));
    step.get("db").await.unwrap();
    assert_eq!(keeper.redactor("web").text(text), format!("it is {MARK}"));
    assert_eq!(keeper.host_redactor().text(text), format!("it is {MARK}"));
    // A step of another project learns nothing of it by guessing.
    assert_eq!(keeper.redactor("other").text(text), text);
}

#[tokio::test]
async fn what_is_no_secret_is_refused() {
    let world = World::new();
    let keeper = keeper(&world);
    let large = "x".repeat(LARGEST + 1);
    for (project, name, value, expected) in [
        ("web", "db", "abc", "invalid"),
        ("web", "db", " ab\n\n", "invalid"),
        ("web", "db", large.as_str(), "invalid"),
        ("web", "a b", "planted", "invalid"),
        ("web", "", "planted", "invalid"),
        ("*", "db", "planted", "invalid"),
        ("web", "db", "abcd", "ok"),
    ] {
        let found = set(&keeper, &local(), project, name, value).await;
        assert_eq!(found, expected, "{project} {name}");
    }
    assert_eq!(
        verdict(keeper.remove(&local(), "web", "none").await),
        "not-found"
    );
}

#[tokio::test]
async fn values_are_nowhere_in_the_state_folder() {
    let world = World::new();
    let keeper = keeper(&world);
    let value = "planted-0123456789";
    assert_eq!(set(&keeper, &local(), "web", "db", value).await, "ok");
    assert_eq!(set(&keeper, &local(), "web", "db", value).await, "ok");
    let listed = keeper.list(&local(), None).unwrap();
    assert_eq!(listed.len(), 1);
    let forms = [
        value.to_owned(),
        hex::encode(value),
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, value),
    ];
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for form in &forms {
            let found = bytes
                .windows(form.len())
                .any(|part| part == form.as_bytes());
            assert!(!found, "{} holds {form}", path.display());
        }
    }
    let mode = std::fs::metadata(world.path("secret.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_key_that_others_may_read_is_refused() {
    let world = World::new();
    let path = world.path("secret.key");
    std::fs::write(&path, [7; 32]).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let value = b"planted-value".to_vec();
    let refused = keeper(&world)
        .set(&local(), "web", "db", value.into())
        .await;
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains("secret.key") && text.contains("chmod 600"),
        "{text}"
    );
}
