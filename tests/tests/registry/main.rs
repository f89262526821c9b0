//! Plugins in a registry: what is pushed comes back, and whatever else comes is an error that
//! names what is wrong with it. The registry is Debian's; where a registry has to lie, the
//! test answers in its place.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod cosign;
mod liar;

use cofferdam_registry::artifact::{self, About, Artifact};
use cofferdam_registry::keys::PrivateKey;
use cofferdam_registry::policy::{Distrust, Policy};
use cofferdam_registry::{
    Client, ClientSettings, Credentials, Digest, Reference, RegistryError, Resolved, signature,
};
use cofferdam_tests::registry::{PASSWORD, RegistryServer, USER, docker_config};
use liar::{Answer, Liar};
use std::future::Future;
use std::time::Duration;

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0 of a plugin, as far as a registry is concerned";
const MIB: u64 = 1 << 20;

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

fn settings(address: &str) -> ClientSettings {
    // Fails where another test of this process has done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut settings = ClientSettings::new(MIB);
    settings.plain_http = vec![address.to_owned()];
    settings
}

fn client(address: &str) -> Client {
    Client::new(settings(address)).unwrap()
}

fn made(component: &[u8], id: &str) -> Artifact {
    let about = About {
        id: id.to_owned(),
        version: "0.1.0".to_owned(),
        summary: format!("does what {id} does"),
        world: "cofferdam:plugin/fixer@0.1.0".to_owned(),
        ..About::default()
    };
    artifact::of(component, &about).unwrap()
}

fn at(address: &str, rest: &str) -> Reference {
    format!("{address}/{rest}").parse().unwrap()
}

/// Pushes a component and resolves what was pushed.
async fn pushed(client: &Client, reference: &Reference, component: &[u8]) -> Resolved {
    let artifact = made(component, "motd");
    let sent = component.to_vec().into();
    client.push(reference, &artifact, sent).await.unwrap();
    client.resolve(reference).await.unwrap()
}

/// As an installation reads.
async fn fetch(client: &Client, reference: &Reference) -> Result<Vec<u8>, RegistryError> {
    let resolved = client.resolve(reference).await?;
    client.component(&resolved).await
}

#[test]
fn what_is_pushed_comes_back_by_tag_and_by_digest() {
    let Some(server) = RegistryServer::start("what is pushed comes back") else {
        return;
    };
    run(async {
        let client = client(server.address());
        let reference = at(server.address(), "plugins/motd:0.1.0");
        let resolved = pushed(&client, &reference, COMPONENT).await;
        assert_eq!(fetch(&client, &reference).await.unwrap(), COMPONENT);
        // The tag goes elsewhere; the digest stays.
        let other = pushed(&client, &reference, b"another").await;
        assert_ne!(other.digest, resolved.digest);
        assert_eq!(fetch(&client, &reference).await.unwrap(), b"another");
        assert_eq!(
            fetch(&client, &resolved.reference).await.unwrap(),
            COMPONENT
        );
        // The same again is the same artifact.
        let again = pushed(&client, &reference, COMPONENT).await;
        assert_eq!(again.digest, resolved.digest);
        let wrong = reference.pinned(&Digest::of(b"x"));
        let error = client
            .push(&wrong, &made(COMPONENT, "motd"), COMPONENT.into())
            .await;
        assert!(
            matches!(error, Err(RegistryError::Reference { .. })),
            "{error:?}"
        );
    });
}

#[test]
fn a_search_finds_plugins_by_place_and_words() {
    let Some(server) = RegistryServer::start("a search finds plugins") else {
        return;
    };
    run(async {
        let client = client(server.address());
        for (name, id) in [
            ("acme/fstab:0.9.0", "fstab"),
            ("acme/fstab:0.10.0", "fstab"),
            ("acme/motd:1.0.0", "motd"),
            ("acmeevil/fstab:1.0.0", "fstab"),
        ] {
            let artifact = made(name.as_bytes(), id);
            let sent = name.as_bytes().to_vec().into();
            client
                .push(&at(server.address(), name), &artifact, sent)
                .await
                .unwrap();
        }
        let mut image = made(b"image", "image");
        "application/vnd.oci.image.config.v1+json"
            .clone_into(&mut image.manifest.config.media_type);
        let place = at(server.address(), "acme/image:1");
        client
            .push(&place, &image, b"image".as_slice().into())
            .await
            .unwrap();
        for (place, text, expected) in [
            (
                "",
                "",
                vec![
                    "acme/fstab:0.10.0",
                    "acme/motd:1.0.0",
                    "acmeevil/fstab:1.0.0",
                ],
            ),
            ("/acme", "", vec!["acme/fstab:0.10.0", "acme/motd:1.0.0"]),
            ("/acme", "DOES fstab", vec!["acme/fstab:0.10.0"]),
            ("/acme/motd", "", vec!["acme/motd:1.0.0"]),
            ("/nobody", "", vec![]),
        ] {
            let place = format!("{}{place}", server.address()).parse().unwrap();
            let hits = client.search(&place, text).await.unwrap();
            let found: Vec<&str> = hits.items.iter().map(|it| it.reference.as_str()).collect();
            let expected: Vec<String> = expected
                .iter()
                .map(|name| format!("{}/{name}", server.address()))
                .collect();
            assert_eq!(found, expected, "{place} {text}");
            assert!(!hits.truncated);
        }
    });
}

/// A way to go wrong at the real registry, and what has to come of it.
type Case = (&'static str, fn(&RegistryError) -> bool);

#[test]
fn what_is_wrong_in_a_registry_is_named() {
    let Some(server) = RegistryServer::start("what is wrong in a registry is named") else {
        return;
    };
    let address = server.address();
    let cases: [Case; 8] = [
        (
            "component",
            |it| matches!(it, RegistryError::Tampered { what, .. } if what.contains("component")),
        ),
        (
            "manifest",
            |it| matches!(it, RegistryError::Tampered { what, .. } if what.contains("manifest")),
        ),
        (
            "media",
            |it| matches!(it, RegistryError::MediaType { found, .. } if found == "application/zip"),
        ),
        ("layers", |it| matches!(it, RegistryError::Malformed { .. })),
        ("large", |it| {
            matches!(it, RegistryError::TooLarge { limit: MIB, .. })
        }),
        ("index", |it| matches!(it, RegistryError::Index { .. })),
        ("nothing", |it| matches!(it, RegistryError::NotFound { .. })),
        ("pinned", |it| matches!(it, RegistryError::NotFound { .. })),
    ];
    run(async {
        let client = client(address);
        for (name, expected) in cases {
            let mut reference = at(address, &format!("wrong/{name}:1"));
            let component = name.as_bytes();
            let mut artifact = made(component, name);
            match name {
                "component" => {
                    pushed(&client, &reference, component).await;
                    server.tamper(Digest::of(component).as_str(), 0);
                }
                "manifest" => {
                    let resolved = pushed(&client, &reference, component).await;
                    // In the annotation at its end.
                    server.tamper(resolved.digest.as_str(), 5);
                }
                "media" => {
                    "application/zip".clone_into(&mut artifact.manifest.layers[0].media_type);
                    client
                        .push(&reference, &artifact, component.into())
                        .await
                        .unwrap();
                }
                "layers" => {
                    let twice = artifact.manifest.layers[0].clone();
                    artifact.manifest.layers.push(twice);
                    client
                        .push(&reference, &artifact, component.into())
                        .await
                        .unwrap();
                }
                "large" => {
                    let component = vec![0; usize::try_from(MIB).unwrap() + 1];
                    pushed(&client, &reference, &component).await;
                }
                "index" => {
                    let resolved = pushed(&client, &reference, component).await;
                    let size = artifact.manifest.encoded().unwrap().len();
                    let media = "application/vnd.oci.image.index.v1+json";
                    let index = serde_json::json!({"schemaVersion": 2, "mediaType": media, "manifests": [{
                        "mediaType": "application/vnd.oci.image.manifest.v1+json",
                        "digest": resolved.digest, "size": size,
                        "platform": {"architecture": "wasm", "os": "wasip2"}}]});
                    let path = "/v2/wrong/index/manifests/1";
                    let status = server.raw("PUT", path, media, index.to_string().as_bytes());
                    assert_eq!(status, 201);
                }
                "pinned" => reference = reference.pinned(&Digest::of(b"x")),
                _ => {}
            }
            let error = fetch(&client, &reference).await.unwrap_err();
            assert!(expected(&error), "{name}: {error:?}");
        }
    });
    let address = server.address().to_owned();
    drop(server);
    run(async {
        let error = fetch(&client(&address), &at(&address, "a:1"))
            .await
            .unwrap_err();
        assert!(
            matches!(error, RegistryError::Unreachable { .. }),
            "{error:?}"
        );
    });
}

#[test]
fn a_registry_with_passwords_wants_the_right_one() {
    let Some(server) = RegistryServer::with_login("a registry with passwords") else {
        return;
    };
    let address = server.address();
    run(async {
        let reference = at(address, "secret/motd:1");
        for (password, allowed) in [
            (Some(PASSWORD), true),
            (Some("close sesame"), false),
            (None, false),
        ] {
            let mut settings = settings(address);
            if let Some(password) = password {
                let file = server.folder().join("config.json");
                std::fs::write(&file, docker_config(address, USER, password)).unwrap();
                settings.credentials = Credentials::read(&file).unwrap();
            }
            let client = Client::new(settings).unwrap();
            if allowed {
                pushed(&client, &reference, COMPONENT).await;
                assert_eq!(fetch(&client, &reference).await.unwrap(), COMPONENT);
                continue;
            }
            let artifact = made(COMPONENT, "motd");
            let push = client
                .push(&reference, &artifact, COMPONENT.into())
                .await
                .unwrap_err();
            let pull = fetch(&client, &reference).await.unwrap_err();
            let place = address.parse().unwrap();
            let search = client.search(&place, "").await.unwrap_err();
            for error in [push, pull, search] {
                assert!(
                    matches!(error, RegistryError::Unauthorised { .. }),
                    "{error:?}"
                );
                assert!(!error.to_string().contains("sesame"), "{error}");
            }
        }
    });
}

#[test]
fn signatures_are_kept_beside_what_they_are_of() {
    let Some(server) = RegistryServer::start("signatures are kept beside") else {
        return;
    };
    let address = server.address();
    run(async {
        let client = client(address);
        let reference = at(address, "signed/motd:1");
        let resolved = pushed(&client, &reference, COMPONENT).await;
        let repository = &reference.repository;
        let [(ann, _), (bob, _), (eve, _)] = [(); 3].map(|()| PrivateKey::generate().unwrap());
        let by = |key: &PrivateKey| Policy::of_key("key", key.public(), repository);
        let judge = async |policy: Policy, of: &Resolved| {
            let signatures = client.signatures(of).await.unwrap();
            policy.judge(repository, &of.digest, &signatures)
        };
        let unsigned = judge(by(&ann), &resolved).await.unwrap_err();
        assert!(matches!(unsigned, Distrust::Unsigned { .. }), "{unsigned}");
        client.sign(&resolved, &ann).await.unwrap();
        client.sign(&resolved, &bob).await.unwrap();
        // Again changes nothing.
        client.sign(&resolved, &ann).await.unwrap();
        assert_eq!(client.signatures(&resolved).await.unwrap().len(), 2);
        for key in [&ann, &bob] {
            let signers = judge(by(key), &resolved).await.unwrap();
            assert_eq!(signers[0].fingerprint, key.public().fingerprint());
        }
        let wrong = judge(by(&eve), &resolved).await.unwrap_err();
        assert!(
            matches!(wrong, Distrust::WrongKey { count: 2, .. }),
            "{wrong}"
        );
        // Somebody moves the signatures to another artifact.
        let other = pushed(&client, &at(address, "signed/motd:2"), b"another").await;
        let theirs = signature::place(repository, &resolved.digest);
        let signatures = client.resolve(&theirs).await.unwrap();
        let path = format!(
            "/v2/signed/motd/manifests/{}",
            signature::place(repository, &other.digest).wanted()
        );
        let content = std::fs::read(server.blob(signatures.digest.as_str())).unwrap();
        let media = "application/vnd.oci.image.manifest.v1+json";
        assert_eq!(server.raw("PUT", &path, media, &content), 201);
        let moved = judge(by(&ann), &other).await.unwrap_err();
        assert!(matches!(moved, Distrust::WrongKey { .. }), "{moved}");
        // Somebody changes the payload.
        server.tamper(signatures.manifest.layers[0].digest.as_str(), 30);
        let error = client.signatures(&resolved).await.unwrap_err();
        assert!(matches!(error, RegistryError::Tampered { .. }), "{error}");
    });
}

#[test]
fn a_registry_that_lies_is_not_believed() {
    let artifact = made(COMPONENT, "motd");
    let manifest = artifact.manifest.encoded().unwrap();
    let with = |headers: &str, body: &[u8]| Some(Answer(200, headers.to_owned(), body.to_vec()));
    let media = "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n";
    type Lie = Box<dyn Fn(&liar::Asked) -> Option<Answer> + Send + Sync>;
    let whole = manifest.clone();
    let moved = move |to: &'static str| -> Lie {
        Box::new(move |_| Some(Answer(307, format!("Location: {to}\r\n"), Vec::new())))
    };
    let component = move |headers: &'static str, body: Vec<u8>| -> Lie {
        let manifest = whole.clone();
        Box::new(move |asked| {
            if asked.line.contains("/manifests/") {
                with(media, &manifest)
            } else {
                with(headers, &body)
            }
        })
    };
    type Expected = fn(&RegistryError) -> bool;
    let cases: Vec<(&str, Lie, Expected)> = vec![
        (
            "another component",
            component("", b"x".repeat(COMPONENT.len())),
            |it| matches!(it, RegistryError::Tampered { .. }),
        ),
        (
            "a cut component",
            component("", COMPONENT[1..].to_vec()),
            |it| matches!(it, RegistryError::Tampered { .. }),
        ),
        (
            "an answer that breaks off",
            component("Content-Length: 60\r\n", b"x".to_vec()),
            |it| {
                matches!(
                    it,
                    RegistryError::Unreachable { .. } | RegistryError::TooLarge { .. }
                )
            },
        ),
        ("a longer component", component("", vec![0; 100]), |it| {
            matches!(it, RegistryError::TooLarge { .. })
        }),
        (
            "a long manifest",
            Box::new(move |_| with("Content-Length: 99999999\r\n", b"{}")),
            |it| matches!(it, RegistryError::TooLarge { .. }),
        ),
        (
            "a page",
            Box::new(move |_| with("Content-Type: text/html\r\n", b"<html>")),
            |it| matches!(it, RegistryError::Malformed { .. }),
        ),
        ("another scheme", moved("https://127.0.0.1/"), |it| {
            matches!(it, RegistryError::Redirect { .. })
        }),
        (
            "another host without TLS",
            moved("http://192.0.2.1/"),
            |it| matches!(it, RegistryError::Redirect { .. }),
        ),
        ("a circle", moved("/v2/again"), |it| {
            matches!(it, RegistryError::Redirect { .. })
        }),
        (
            "an error of its own",
            Box::new(|_| Some(Answer(503, String::new(), Vec::new()))),
            |it| matches!(it, RegistryError::Refused { status: 503, .. }),
        ),
        ("silence", Box::new(|_| None), |it| {
            matches!(it, RegistryError::TimedOut { seconds: 1, .. })
        }),
    ];
    for (name, lie, expected) in cases {
        let liar = Liar::start(lie);
        let mut settings = settings(&liar.address);
        // Long enough for what answers: only silence is to be waited out.
        settings.timeout = Duration::from_secs(if name == "silence" { 1 } else { 60 });
        let client = Client::new(settings).unwrap();
        let error = run(fetch(&client, &at(&liar.address, "a:1"))).unwrap_err();
        assert!(expected(&error), "{name}: {error:?}");
    }
}

#[test]
fn a_token_is_asked_for_where_the_registry_says() {
    let manifest = made(COMPONENT, "motd").manifest.encoded().unwrap();
    let address = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let known = std::sync::Arc::clone(&address);
    let liar = Liar::start(move |asked| {
        let own = known.get().unwrap();
        let basic = Some("Basic YW5uOm9wZW4gc2VzYW1l");
        let token = asked.authorization.as_deref();
        if asked
            .line
            .starts_with("GET /token?service=it&scope=repository%3Aa%3Apull ")
        {
            if token != basic {
                return Some(Answer(401, String::new(), Vec::new()));
            }
            return Some(Answer(
                200,
                String::new(),
                br#"{"token": "t0ken"}"#.to_vec(),
            ));
        }
        if token != Some("Bearer t0ken") {
            let challenge =
                format!("WWW-Authenticate: Bearer realm=\"http://{own}/token\",service=\"it\"\r\n");
            return Some(Answer(401, challenge, Vec::new()));
        }
        let body = if asked.line.contains("/manifests/") {
            manifest.clone()
        } else {
            COMPONENT.to_vec()
        };
        Some(Answer(200, String::new(), body))
    });
    address.set(liar.address.clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    for (password, allowed) in [(PASSWORD, true), ("close", false)] {
        std::fs::write(&file, docker_config(&liar.address, USER, password)).unwrap();
        let mut settings = settings(&liar.address);
        settings.credentials = Credentials::read(&file).unwrap();
        let client = Client::new(settings).unwrap();
        let fetched = run(fetch(&client, &at(&liar.address, "a:1")));
        match fetched {
            Ok(component) => assert!(allowed && component == COMPONENT),
            Err(error) => {
                assert!(!allowed, "{error}");
                assert!(
                    matches!(error, RegistryError::Unauthorised { .. }),
                    "{error:?}"
                );
            }
        }
    }
}
