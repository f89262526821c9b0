//! What happens when the disk is full, the file may not be written, is damaged, is of a
//! newer schema, or is used by two processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod common;

use std::fs::{self, OpenOptions, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use cofferdam_store::{
    Durability, EventFilter, LogLevel, NewLogLine, RunState, Store, StoreError, StoreOptions, Time,
};
use common::{Place, attempt, audit, new_run, running, succeed, success};
use serde_json::json;

/// Runs the ignored test `name` of this file in a process of its own, as `user` where
/// that is possible, with `path` in its environment; says whether it passed, and what it
/// printed.
fn in_child(name: &str, path: &Path, user: Option<u32>) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env("STORE_TEST_PATH", path);
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        printed.contains("1 passed") || !output.status.success(),
        "{printed}"
    );
    (output.status.success(), printed)
}

fn child_path() -> Option<std::path::PathBuf> {
    std::env::var_os("STORE_TEST_PATH").map(Into::into)
}

/// Fills the store until it refuses; says how many lines it took.
fn fill(store: &Store, run: &str) -> (usize, StoreError) {
    for lines in 0..100_000 {
        let line = NewLogLine {
            run: run.to_owned(),
            step: None,
            plugin: None,
            level: LogLevel::Info,
            message: "x".repeat(4000),
            fields: json!({}),
            at: Time::now(),
        };
        if let Err(error) = store.append_log(vec![line]) {
            return (lines, error);
        }
    }
    panic!("the store takes more than there is room for");
}

/// What was written before the store was full is there and right, and nothing else.
fn full_store_is_sound(store: &Store, run: &str, lines: usize) {
    // Pages that are not quite full have room for a few small ones.
    let mut refused = None;
    for _ in 0..200 {
        let run = new_run(&["a"]);
        if let Err(error) = store.create_run(&run, &audit("run.start")) {
            assert!(matches!(error, StoreError::Full { .. }), "{error}");
            assert!(store.run(&run.id).is_err());
            refused = Some(error);
            break;
        }
    }
    assert!(refused.is_some());
    let mut found = 0;
    let mut after = 0;
    loop {
        let page = store.logs(run, after, &Default::default(), 1000).unwrap();
        let Some(last) = page.last() else { break };
        after = last.id;
        found += page.len();
    }
    assert_eq!(found, lines);
    assert_eq!(store.steps(run).unwrap().len(), 2);
    assert_eq!(store.check().unwrap().damage, Vec::<String>::new());
}

#[test]
fn a_database_at_its_limit_refuses_and_stays_sound() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        max_bytes: Some(2 << 20),
        ..StoreOptions::default()
    };
    let path = folder.path().join("cofferdam.db");
    let store = Store::open_with(&path, options).unwrap();
    let run = running(&store, &["a", "b"]);
    let (lines, error) = fill(&store, &run);
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(lines > 100, "{lines}");
    full_store_is_sound(&store, &run, lines);
    drop(store);
    // With room again it goes on where it was.
    let store = Store::open(&path).unwrap();
    succeed(&store, &run, "a");
}

/// A small file system, for as long as it lives.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .output();
        if matches!(mounted, Ok(output) if output.status.success()) {
            return Some(Self(folder));
        }
        println!("skipped: a full disk needs the right to mount a tmpfs");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// The index of the log is made anew at opening, which needs room before anything is read.
#[test]
fn a_database_on_a_full_disk_is_not_taken_for_a_broken_one() {
    let Some(disk) = SmallDisk::mount("1m") else {
        return;
    };
    let path = disk.0.path().join("cofferdam.db");
    let store = Store::open(&path).unwrap();
    let run = running(&store, &["a"]);
    drop(store);
    let ballast = disk.0.path().join("ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    while file.write_all(&[7; 4096]).is_ok() {}
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    drop(file);
    fs::remove_file(&ballast).unwrap();
    assert!(Store::open(&path).unwrap().run(&run).is_ok());
}

#[test]
fn a_full_disk_refuses_and_goes_on_with_room() {
    let Some(disk) = SmallDisk::mount("6m") else {
        return;
    };
    let path = disk.0.path().join("cofferdam.db");
    let ballast = disk.0.path().join("ballast");
    let store = Store::open(&path).unwrap();
    let run = running(&store, &["a", "b"]);
    fs::write(&ballast, vec![1; 3 << 20]).unwrap();
    let (lines, error) = fill(&store, &run);
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    full_store_is_sound(&store, &run, lines);
    let refused = store.backup(disk.0.path().join("backup.db")).unwrap_err();
    assert!(matches!(refused, StoreError::Full { .. }), "{refused}");
    assert!(!disk.0.path().join("backup.db").exists());
    fs::remove_file(&ballast).unwrap();
    succeed(&store, &run, "a");
    drop(store);
    let store = Store::open(&path).unwrap();
    assert_eq!(
        store.steps(&run).unwrap()[0].output,
        Some(json!({ "exit": 0 }))
    );
}

#[test]
fn a_disk_without_room_for_a_new_database_is_an_error() {
    let Some(disk) = SmallDisk::mount("64k") else {
        return;
    };
    let error = Store::open(disk.0.path().join("cofferdam.db")).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
}

#[test]
#[ignore = "runs in a process of its own, see the test that starts it"]
fn child_is_refused_for_want_of_permission() {
    let Some(path) = child_path() else { return };
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("permission"), "{text}");
}

#[test]
fn what_may_not_be_written_is_said_so() {
    // Somewhere that another user can reach, unlike the folder of a test's own.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let nobody = 65_534;
    let probe = Command::new("true").uid(nobody).gid(nobody).status();
    let user = match probe {
        Ok(_) => Some(nobody),
        // Not root: one's own permissions count.
        Err(_) => None,
    };
    let owned = |path: &Path| {
        if user.is_some() {
            std::os::unix::fs::chown(path, Some(nobody), Some(nobody)).unwrap();
        }
    };
    let cases: [(&str, u32, u32); 3] = [
        ("file", 0o444, 0o755),
        ("folder", 0o644, 0o555),
        ("both", 0o444, 0o555),
    ];
    for (name, file_mode, folder_mode) in cases {
        let place = folder.path().join(name);
        fs::create_dir(&place).unwrap();
        let path = place.join("cofferdam.db");
        drop(Store::open(&path).unwrap());
        owned(&path);
        owned(&place);
        fs::set_permissions(&path, Permissions::from_mode(file_mode)).unwrap();
        fs::set_permissions(&place, Permissions::from_mode(folder_mode)).unwrap();
        let before = fs::read(&path).unwrap();
        let (passed, printed) = in_child("child_is_refused_for_want_of_permission", &path, user);
        assert!(passed, "{name}: {printed}");
        assert_eq!(fs::read(&path).unwrap(), before);
        fs::set_permissions(&place, Permissions::from_mode(0o755)).unwrap();
    }
    // A folder in which no database can be made.
    let place = folder.path().join("new");
    fs::create_dir(&place).unwrap();
    owned(&place);
    fs::set_permissions(&place, Permissions::from_mode(0o555)).unwrap();
    let path = place.join("cofferdam.db");
    let (passed, printed) = in_child("child_is_refused_for_want_of_permission", &path, user);
    assert!(passed, "{printed}");
    fs::set_permissions(&place, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = folder.path().join("theirs");
    rusqlite::Connection::open(&sqlite)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1);")
        .unwrap();
    let text = folder.path().join("text");
    fs::write(&text, "these are notes, not a database\n".repeat(300)).unwrap();
    for path in [sqlite, text] {
        let error = Store::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    }
    let error = Store::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    let error = Store::open(folder.path().join("none/cofferdam.db")).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let place = Place::new();
    running(&place.store, &["a"]);
    let path = place.database();
    let Place { store, folder } = place;
    drop(store);
    let sql = rusqlite::Connection::open(&path).unwrap();
    sql.pragma_update(None, "user_version", 1000).unwrap();
    drop(sql);
    let before = fs::read(&path).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(
        matches!(error, StoreError::NewerSchema { found: 1000, .. }),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), before);
    drop(folder);
}

fn flip(path: &Path, offset: u64, length: usize) {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut bytes = vec![0; length];
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.read_exact(&mut bytes).unwrap();
    for byte in &mut bytes {
        *byte ^= 0xff;
    }
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(&bytes).unwrap();
}

/// Reads all there is, as a recovering host would.
fn read_everything(path: &Path) -> Result<(usize, usize), StoreError> {
    let store = Store::open(path)?;
    let mut events = 0;
    let mut after = 0;
    loop {
        let page = store.events(after, &EventFilter::default(), 1000)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        events += page.len();
    }
    let runs = store.unfinished_runs(None, 1000)?;
    let report = store.check()?;
    if let Some(damage) = report.damage.first() {
        return Err(StoreError::Corrupt {
            path: path.to_owned(),
            why: damage.clone(),
        });
    }
    Ok((runs.len(), events))
}

#[test]
fn damage_is_an_error_and_never_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let sound = folder.path().join("sound.db");
    {
        let store = Store::open(&sound).unwrap();
        for _ in 0..60 {
            let run = running(&store, &["a", "b"]);
            succeed(&store, &run, "a");
        }
    }
    let expected = read_everything(&sound).unwrap();
    assert_eq!(expected.0, 60);
    let size = fs::metadata(&sound).unwrap().len();
    let pages = size / 4096;
    let damaged = folder.path().join("damaged.db");
    let (mut refused, mut tried) = (0, 0);
    for page in 0..pages {
        // The page's header, which says where its cells are.
        let offset = page * 4096 + if page == 0 { 100 } else { 0 };
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", damaged.display()));
        }
        fs::copy(&sound, &damaged).unwrap();
        flip(&damaged, offset, 12);
        tried += 1;
        match read_everything(&damaged) {
            Err(StoreError::Corrupt { path, .. }) => {
                assert_eq!(path, damaged);
                refused += 1;
            }
            Err(other) => panic!("page {page}: {other}"),
            // SQLite's own map of free pages has no header.
            Ok(found) => assert_eq!(found, expected, "page {page}"),
        }
    }
    assert!(refused * 10 >= tried * 9, "{refused} of {tried}");
    assert!(tried > 20, "{tried}");

    // Cut off in the middle.
    for kept in [size / 2, 4096, 512, 10] {
        fs::copy(&sound, &damaged).unwrap();
        let file = OpenOptions::new().write(true).open(&damaged).unwrap();
        file.set_len(kept).unwrap();
        drop(file);
        let error = read_everything(&damaged).unwrap_err();
        assert!(
            matches!(error, StoreError::Corrupt { .. }),
            "{kept}: {error}"
        );
    }
}

#[test]
fn a_value_that_makes_no_sense_is_an_error() {
    let place = Place::new();
    let run = running(&place.store, &["a"]);
    let sql = rusqlite::Connection::open(place.database()).unwrap();
    sql.execute("UPDATE runs SET inputs = '{'", []).unwrap();
    let error = place.store.run(&run).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    sql.execute("UPDATE runs SET inputs = '{}'", []).unwrap();
    sql.execute("UPDATE steps SET attempt = -1", []).unwrap();
    let error = place.store.run_detail(&run).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    let error = place.store.begin_attempt(&run, attempt("a")).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    sql.execute("UPDATE runs SET state = 'dreaming'", [])
        .expect_err("the database itself refuses what is no state");
}

#[test]
fn journal_and_audit_log_are_append_only() {
    let place = Place::new();
    running(&place.store, &["a"]);
    let sql = rusqlite::Connection::open(place.database()).unwrap();
    for table in ["events", "audit"] {
        for statement in [
            format!("DELETE FROM {table}"),
            format!("UPDATE {table} SET at = 0"),
        ] {
            let error = sql.execute(&statement, []).unwrap_err().to_string();
            assert!(error.contains("append-only"), "{statement}: {error}");
        }
    }
}

#[test]
fn a_torn_log_loses_the_newest_commits_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cofferdam.db");
    let store = Store::open(&path).unwrap();
    let run = running(&store, &["a"]);
    let count = 40_u32;
    let mut interrupted = attempt("a");
    for number in 0..count {
        store.begin_attempt(&run, interrupted.clone()).unwrap();
        interrupted.interrupted = true;
        assert_eq!(store.steps(&run).unwrap()[0].attempt, number + 1);
    }
    let log = folder.path().join("cofferdam.db-wal");
    let whole = fs::read(&log).unwrap();
    let file = fs::read(&path).unwrap();
    drop(store);
    let torn = folder.path().join("torn.db");
    let mut seen = std::collections::BTreeSet::new();
    for sixteenth in 0..=16 {
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", torn.display()));
        }
        fs::write(&torn, &file).unwrap();
        let kept = whole.len() * sixteenth / 16;
        fs::write(folder.path().join("torn.db-wal"), &whole[..kept]).unwrap();
        let store = Store::open(&torn).unwrap();
        assert!(store.check().unwrap().is_sound());
        // Where the run is there at all, step and journal say the same.
        let Ok(steps) = store.steps(&run) else {
            continue;
        };
        let Some(step) = steps.first() else { continue };
        let filter = EventFilter {
            kinds: vec!["step.started".to_owned()],
            ..EventFilter::default()
        };
        let begun = store.events(0, &filter, 1000).unwrap();
        assert_eq!(begun.len(), step.attempt as usize);
        seen.insert(step.attempt);
    }
    assert!(seen.contains(&count) && seen.len() > 5, "{seen:?}");
}

#[test]
#[ignore = "runs in a process of its own, see the test that starts it"]
fn child_writes_beside_the_other_process() {
    let Some(path) = child_path() else { return };
    let store = Store::open(path).unwrap();
    for _ in 0..100 {
        let run = running(&store, &["a"]);
        succeed(&store, &run, "a");
    }
}

#[test]
fn two_processes_write_and_lose_nothing() {
    let place = Place::new();
    let path = place.database();
    let child = std::thread::spawn({
        let path = path.clone();
        move || in_child("child_writes_beside_the_other_process", &path, None)
    });
    for _ in 0..100 {
        let run = running(&place.store, &["a"]);
        succeed(&place.store, &run, "a");
    }
    let (passed, printed) = child.join().unwrap();
    assert!(passed, "{printed}");
    assert_eq!(place.store.run_counts().unwrap()[&RunState::Running], 200);
    let filter = EventFilter {
        kinds: vec!["step.succeeded".to_owned()],
        ..EventFilter::default()
    };
    assert_eq!(place.store.events(0, &filter, 1000).unwrap().len(), 200);
}

#[test]
fn a_database_that_stays_held_is_said_to_be() {
    let place = Place::new();
    let impatient = Store::open_with(
        place.database(),
        StoreOptions {
            busy_timeout: std::time::Duration::from_millis(50),
            ..StoreOptions::default()
        },
    )
    .unwrap();
    let run = running(&place.store, &["a"]);
    let other = rusqlite::Connection::open(place.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = impatient.begin_attempt(&run, attempt("a")).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    // Reading goes on.
    assert_eq!(impatient.run(&run).unwrap().state, RunState::Running);
    other.execute_batch("ROLLBACK").unwrap();
    impatient.begin_attempt(&run, attempt("a")).unwrap();
    impatient
        .end_attempt(&run, "a", 1, success(json!({})), vec![])
        .unwrap();
}

#[test]
fn the_log_does_not_grow_without_bound() {
    let place = Place::new();
    let run = running(&place.store, &["a"]);
    let log = place.folder.path().join("cofferdam.db-wal");
    let mut longest = 0;
    let mut again = attempt("a");
    for _ in 0..12_000 {
        place
            .store
            .advance(
                &run,
                Durability::Process,
                &[cofferdam_store::Change::Begin(again.clone())],
            )
            .unwrap();
        again.interrupted = true;
        longest = longest.max(fs::metadata(&log).unwrap().len());
    }
    // Without moving it, it would have some 200 MiB.
    assert!(longest < 96 << 20, "{longest}");
}
