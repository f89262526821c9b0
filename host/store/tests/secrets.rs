//! Secrets: what is refused, and that no plaintext reaches a file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use cofferdam_store::{SECRET_LIMIT, SecretKey, StoreError};
use common::{Place, audit};

const CANARY: &[u8] = b"canary-3f9d1c-plaintext";

#[test]
fn a_secret_and_back() {
    let place = Place::new();
    let store = &place.store;
    let path = place.folder.path().join("secret.key");
    let key = store.open_secret_key(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    let everything: Vec<u8> = (0..=255).collect();
    for (name, value) in [("db", CANARY), ("empty", b""), ("bytes", &everything)] {
        store
            .set_secret(&key, "p", name, value, &audit("secret.set"))
            .unwrap();
    }
    let again = store.open_secret_key(&path).unwrap();
    assert_eq!(store.secret(&again, "p", "db").unwrap().as_slice(), CANARY);
    assert_eq!(
        store.secret(&again, "p", "bytes").unwrap().as_slice(),
        everything
    );
    assert!(store.secret(&again, "p", "empty").unwrap().is_empty());
    store
        .set_secret(&key, "p", "db", b"new", &audit("secret.set"))
        .unwrap();
    assert_eq!(store.secret(&key, "p", "db").unwrap().as_slice(), b"new");
    let names: Vec<String> = store
        .secrets(Some(&["p".to_owned()]))
        .unwrap()
        .into_iter()
        .map(|secret| secret.name)
        .collect();
    assert_eq!(names, ["bytes", "db", "empty"]);
    assert!(store.secrets(Some(&[])).unwrap().is_empty());
    store
        .remove_secret("p", "db", &audit("secret.remove"))
        .unwrap();
    for result in [
        store.secret(&key, "p", "db").map(drop),
        store.remove_secret("p", "db", &audit("secret.remove")),
        store.secret(&key, "q", "bytes").map(drop),
    ] {
        assert!(matches!(result, Err(StoreError::NotFound { .. })));
    }
}

#[test]
fn names_and_sizes_are_checked() {
    let place = Place::new();
    let store = &place.store;
    let key = store
        .open_secret_key(&place.folder.path().join("secret.key"))
        .unwrap();
    let long = "n".repeat(257);
    for (project, name) in [
        ("", "n"),
        ("p", ""),
        ("p", "a\0b"),
        ("p\n", "n"),
        ("p", &long),
    ] {
        let result = store.set_secret(&key, project, name, b"v", &audit("secret.set"));
        assert!(
            matches!(result, Err(StoreError::Invalid { .. })),
            "{project:?} {name:?}"
        );
    }
    let big = vec![7; SECRET_LIMIT];
    store
        .set_secret(&key, "p", "big", &big, &audit("secret.set"))
        .unwrap();
    let too_big = vec![7; SECRET_LIMIT + 1];
    assert!(matches!(
        store.set_secret(&key, "p", "bigger", &too_big, &audit("secret.set")),
        Err(StoreError::Invalid { .. })
    ));
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let place = Place::new();
    let path = place.folder.path().join("secret.key");
    place.store.open_secret_key(&path).unwrap();
    for mode in [0o644, 0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let refused = place.store.open_secret_key(&path).unwrap_err();
        assert!(matches!(refused, StoreError::SecretKey { .. }), "{mode:o}");
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        place.store.open_secret_key(&path).unwrap();
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let place = Place::new();
    let folder = place.folder.path();
    for (name, content) in [
        ("empty", vec![]),
        ("short", vec![1; 31]),
        ("long", vec![1; 33]),
    ] {
        let path = folder.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(
            SecretKey::open(&path),
            Err(StoreError::SecretKey { .. })
        ));
    }
    for path in [folder.to_owned(), folder.join("none")] {
        assert!(matches!(
            SecretKey::open(&path),
            Err(StoreError::SecretKey { .. })
        ));
    }
}

#[test]
fn another_key_and_a_lost_one_are_told_apart_from_damage() {
    let place = Place::new();
    let store = &place.store;
    let path = place.folder.path().join("secret.key");
    let key = store.open_secret_key(&path).unwrap();
    // Made while no secret needs another key.
    let other = store
        .open_secret_key(&place.folder.path().join("other.key"))
        .unwrap();
    store
        .set_secret(&key, "p", "db", CANARY, &audit("secret.set"))
        .unwrap();
    let refused = store.secret(&other, "p", "db").unwrap_err();
    assert!(refused.to_string().contains("right key file"), "{refused}");
    fs::remove_file(&path).unwrap();
    let refused = store.open_secret_key(&path).unwrap_err();
    assert!(refused.to_string().contains("bring it back"), "{refused}");
    assert!(!path.exists(), "no new key hides that the old one is lost");
}

#[test]
fn secrets_are_never_kept_under_two_keys() {
    let place = Place::new();
    let store = &place.store;
    let folder = place.folder.path();
    let key = store.open_secret_key(&folder.join("secret.key")).unwrap();
    let other = store.open_secret_key(&folder.join("other.key")).unwrap();
    for key in [&key, &other] {
        store.check_secret_key(key).unwrap();
    }
    for name in ["db", "mail"] {
        store
            .set_secret(&key, "p", name, CANARY, &audit("secret.set"))
            .unwrap();
    }
    store.check_secret_key(&key).unwrap();
    // Neither a new one nor in the place of one of several.
    for (project, name) in [("p", "new"), ("q", "db"), ("p", "db")] {
        let refused = store
            .set_secret(&other, project, name, b"value", &audit("secret.set"))
            .unwrap_err();
        assert!(matches!(refused, StoreError::SecretKey { .. }), "{refused}");
        let text = refused.to_string();
        assert!(
            text.contains("other.key") && text.contains("right key file"),
            "{text}"
        );
    }
    assert!(store.check_secret_key(&other).is_err());
    assert_eq!(store.secrets(None).unwrap().len(), 2);
    assert_eq!(store.secret(&key, "p", "db").unwrap().as_slice(), CANARY);
    // Whoever lost the key removes what cannot be read, and begins with another.
    store
        .remove_secret("p", "mail", &audit("secret.remove"))
        .unwrap();
    store
        .set_secret(&other, "p", "db", b"value", &audit("secret.set"))
        .unwrap();
    store.check_secret_key(&other).unwrap();
}

#[test]
fn changed_and_moved_ciphertexts_do_not_decrypt() {
    let place = Place::new();
    let store = &place.store;
    let key = store
        .open_secret_key(&place.folder.path().join("secret.key"))
        .unwrap();
    for (project, name) in [("p", "db"), ("p", "other"), ("q", "db")] {
        let value = [CANARY, project.as_bytes(), name.as_bytes()].concat();
        store
            .set_secret(&key, project, name, &value, &audit("secret.set"))
            .unwrap();
    }
    let sql = rusqlite::Connection::open(place.database()).unwrap();
    let tamper = |statement: &str| {
        sql.execute_batch("SAVEPOINT tampering").unwrap();
        assert_eq!(sql.execute(statement, []).unwrap(), 1, "{statement}");
        sql.execute_batch("RELEASE tampering").unwrap();
        let refused = store.secret(&key, "p", "db").unwrap_err();
        assert!(
            matches!(refused, StoreError::SecretUnreadable { .. }),
            "{statement}: {refused}"
        );
    };
    let restore: (Vec<u8>, Vec<u8>) = sql
        .query_row(
            "SELECT nonce, ciphertext FROM secrets WHERE project = 'p' AND name = 'db'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    for statement in [
        // Moved from another name, and from another project.
        "UPDATE secrets SET (nonce, ciphertext) =
            (SELECT nonce, ciphertext FROM secrets WHERE project = 'p' AND name = 'other')
         WHERE project = 'p' AND name = 'db'",
        "UPDATE secrets SET (nonce, ciphertext) =
            (SELECT nonce, ciphertext FROM secrets WHERE project = 'q' AND name = 'db')
         WHERE project = 'p' AND name = 'db'",
        "UPDATE secrets SET nonce = zeroblob(24) WHERE project = 'p' AND name = 'db'",
        "UPDATE secrets SET ciphertext = zeroblob(16) WHERE project = 'p' AND name = 'db'",
    ] {
        tamper(statement);
    }
    for byte in 0..restore.1.len() {
        let mut changed = restore.1.clone();
        changed[byte] ^= 1;
        sql.execute(
            "UPDATE secrets SET nonce = ?1, ciphertext = ?2 WHERE project = 'p' AND name = 'db'",
            (&restore.0, changed),
        )
        .unwrap();
        assert!(matches!(
            store.secret(&key, "p", "db"),
            Err(StoreError::SecretUnreadable { .. })
        ));
    }
    sql.execute(
        "UPDATE secrets SET nonce = ?1, ciphertext = ?2 WHERE project = 'p' AND name = 'db'",
        (&restore.0, &restore.1),
    )
    .unwrap();
    store.secret(&key, "p", "db").unwrap();
}

#[test]
fn no_plaintext_reaches_a_file() {
    let place = Place::new();
    let store = &place.store;
    let folder = place.folder.path();
    let key = store.open_secret_key(&folder.join("secret.key")).unwrap();
    for round in 0..3 {
        store
            .set_secret(
                &key,
                "p",
                &format!("s{round}"),
                CANARY,
                &audit("secret.set"),
            )
            .unwrap();
        store.secret(&key, "p", "s0").unwrap();
    }
    store
        .remove_secret("p", "s1", &audit("secret.remove"))
        .unwrap();
    store.backup(folder.join("backup.db")).unwrap();
    // A name is no secret: that it is found shows that the search sees the log.
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let content = fs::read(entry.path()).unwrap();
        let contains = |needle: &[u8]| content.windows(needle.len()).any(|part| part == needle);
        assert!(!contains(CANARY), "{}", entry.path().display());
        if contains(b"secret.remove") {
            found.push(entry.file_name().into_string().unwrap());
        }
    }
    found.sort();
    assert!(found.contains(&"cofferdam.db-wal".to_owned()), "{found:?}");
    assert!(found.contains(&"backup.db".to_owned()), "{found:?}");
}
