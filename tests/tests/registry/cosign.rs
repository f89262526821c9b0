//! Signatures against cosign itself: a recorded one of `cosign` 2.5.3 everywhere, and both ways
//! live where `cosign` is on the path.

use super::{COMPONENT, at, client, pushed, run};
use cofferdam_registry::keys::{PrivateKey, PublicKey};
use cofferdam_registry::policy::Policy;
use cofferdam_registry::signature::Signature;
use cofferdam_registry::{Digest, Resolved};
use cofferdam_tests::registry::RegistryServer;
use std::path::Path;
use std::process::Command;

#[test]
fn a_recorded_signature_of_cosign_is_verified() {
    let key = PublicKey::read(include_str!("cosign/cosign.pub")).unwrap();
    let digest: Digest = include_str!("cosign/digest").trim().parse().unwrap();
    let payload = include_bytes!("cosign/payload.json").to_vec();
    let text = include_str!("cosign/signature");
    let signature = Signature::of(payload.clone(), text).unwrap();
    assert!(signature.is_by(&key, &digest));
    assert!(!signature.is_by(&key, &Digest::of(b"another")));
    let mut changed = payload;
    changed[10] ^= 1;
    let signature = Signature::of(changed, text).unwrap();
    assert!(!signature.is_by(&key, &digest));
}

#[test]
fn cosign_and_this_verify_each_other() {
    let test = "cosign and this verify each other";
    if cofferdam_fixtures::find("cosign").is_none() {
        // Also in CI: building it takes longer than all other tools together.
        eprintln!("skipped: {test} needs cosign on the path (docs/registry.md says how)");
        return;
    }
    let Some(server) = RegistryServer::start(test) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let cosign = |args: &[&str], resolved: &Resolved| {
        let output = Command::new("cosign")
            .env("COSIGN_PASSWORD", "")
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .args(args)
            .args((args[0] != "generate-key-pair").then(|| resolved.reference.to_string()))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    };
    let verify = |key: &str, resolved: &Resolved| {
        let args = [
            "verify",
            "--insecure-ignore-tlog=true",
            "--allow-http-registry",
            "--key",
            key,
        ];
        cosign(&args, resolved)
    };
    let write = |name: &str, key: &PrivateKey| {
        std::fs::write(folder.path().join(name), key.public().pem()).unwrap();
    };
    run(async {
        let client = client(server.address());
        let reference = at(server.address(), "signed/motd:1");
        let resolved = pushed(&client, &reference, COMPONENT).await;
        let [(ours, _), (other, _)] = [(); 2].map(|()| PrivateKey::generate().unwrap());
        write("ours.pub", &ours);
        write("other.pub", &other);
        // Ours first, then cosign's beside it.
        client.sign(&resolved, &ours).await.unwrap();
        let (verified, said) = verify("ours.pub", &resolved);
        assert!(verified, "{said}");
        let (verified, said) = verify("other.pub", &resolved);
        assert!(!verified, "{said}");
        let (made, said) = cosign(&["generate-key-pair"], &resolved);
        assert!(made, "{said}");
        let args = [
            "sign",
            "--key",
            "cosign.key",
            "--tlog-upload=false",
            "--allow-http-registry",
            "-y",
        ];
        let (signed, said) = cosign(&args, &resolved);
        assert!(signed, "{said}");
        let (verified, said) = verify("ours.pub", &resolved);
        assert!(verified, "{said}");
        let signatures = client.signatures(&resolved).await.unwrap();
        assert_eq!(signatures.len(), 2);
        let theirs = public(&folder.path().join("cosign.pub"));
        for key in [theirs, ours.public()] {
            let policy = Policy::of_key("key", key, &reference.repository);
            policy
                .judge(&reference.repository, &resolved.digest, &signatures)
                .unwrap();
        }
        // Ours after cosign's.
        client.sign(&resolved, &other).await.unwrap();
        for key in ["ours.pub", "other.pub", "cosign.pub"] {
            let (verified, said) = verify(key, &resolved);
            assert!(verified, "{key}: {said}");
        }
    });
}

fn public(file: &Path) -> PublicKey {
    PublicKey::read(&std::fs::read_to_string(file).unwrap()).unwrap()
}
