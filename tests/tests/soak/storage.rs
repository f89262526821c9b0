//! A disk that is full or read-only, and a damaged database, with the real program: a clear
//! message, no lost run, no wrong success.

use cofferdam_store::{EventFilter, PageRequest, RunFilter, RunState, Store, event_kind};
use cofferdam_tests::site::Site;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long something that must happen is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

const WORKFLOW: &str = "
name: two
steps:
  - id: first
    uses: command
    with: { tool: sh, args: [-c, 'touch begun; until test -e go; do sleep 0.02; done'] }
  - id: second
    uses: command
    needs: [first]
    with: { tool: sh, args: [-c, 'echo once >> starts'] }
";

/// A small disk under a site's state folder, gone with it.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where nothing may be mounted, which was said.
    fn under(site: &Site, test: &str) -> Option<Self> {
        let folder = site.path("state");
        fs::create_dir(&folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs"])
            .arg(&folder)
            .output()
            .unwrap();
        if mounted.status.success() {
            return Some(Self(folder));
        }
        let why = String::from_utf8_lossy(&mounted.stderr);
        assert!(
            std::env::var("CI").is_err(),
            "{test} has to mount a tmpfs: {why}"
        );
        println!("SKIPPED {test}: a tmpfs cannot be mounted: {why}");
        None
    }

    fn remount(&self, how: &str) {
        let status = Command::new("mount")
            .args(["-o", &format!("remount,{how}")])
            .arg(&self.0)
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Leaves no room.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filling")).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            let block = vec![1; size];
            while file.write_all(&block).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filling")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A supervisor may still be in it for a moment.
        Command::new("umount")
            .arg("--lazy")
            .arg(&self.0)
            .status()
            .ok();
    }
}

fn only_run(state: &Path) -> (String, RunState) {
    let store = Store::open(state.join("cofferdam.db")).unwrap();
    let runs = store
        .runs(&RunFilter::default(), &PageRequest::default())
        .unwrap();
    assert_eq!(runs.items.len(), 1, "{runs:#?}");
    (runs.items[0].id.clone(), runs.items[0].state)
}

fn succeeded_once(state: &Path) {
    let (run, end) = only_run(state);
    assert_eq!(end, RunState::Succeeded);
    let starts = state.join("runs").join(&run).join("second/starts");
    assert_eq!(fs::read_to_string(starts).unwrap(), "once\n");
    let store = Store::open(state.join("cofferdam.db")).unwrap();
    assert!(store.check().unwrap().damage.is_empty());
    let events = store.events(0, &EventFilter::default(), 1000).unwrap();
    let ends = events
        .iter()
        .filter(|event| event.kind == event_kind::RUN_SUCCEEDED)
        .count();
    assert_eq!(ends, 1, "{events:#?}");
}

/// A run whose first step goes on until there is a file
/// `go` in its working folder, started by a host that is still there.
fn waiting_run(site: &Site) -> (Child, PathBuf) {
    site.write("two.yaml", WORKFLOW);
    let log = File::create(site.path("host.log")).unwrap();
    let host = site
        .local(&["run", "two.yaml"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let began = Instant::now();
    let work = loop {
        let found = fs::read_dir(site.path("state/runs"))
            .into_iter()
            .flatten()
            .map(|run| run.unwrap().path().join("first"))
            .find(|work| work.join("begun").exists());
        if let Some(work) = found {
            break work;
        }
        assert!(began.elapsed() < PATIENCE, "the step does not begin");
        std::thread::sleep(Duration::from_millis(5));
    };
    (host, work)
}

fn exit_code(process: &mut Child) -> Option<i32> {
    let began = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return status.code();
        }
        if began.elapsed() > PATIENCE {
            process.kill().unwrap();
            process.wait().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_full_disk_loses_no_run_and_fakes_no_success() {
    let site = Site::embedded();
    let test = "a_full_disk_loses_no_run_and_fakes_no_success";
    let Some(disk) = SmallDisk::under(&site, test) else {
        return;
    };
    let (mut host, work) = waiting_run(&site);
    disk.fill();
    // The host that is there says so, and goes on being there.
    let refused = site.run(&["run", "two.yaml", "--detach"]).code(1);
    refused.says(&["free some space"]);
    // What goes on cannot be written down: it must not count as done.
    File::create(work.join("go")).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let (_, state) = only_run(&disk.0);
    assert_ne!(state, RunState::Succeeded);
    // A host that starts on the full disk says so too.
    host.kill().unwrap();
    host.wait().unwrap();
    let log = site.path("full.log");
    let mut watch = site
        .local(&["runs", "watch", "last"])
        .stdout(Stdio::null())
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    disk.make_room();
    let code = exit_code(&mut watch);
    let said = fs::read_to_string(log).unwrap();
    let go_on = match code {
        // It stood still until there was room.
        Some(0) => None,
        // The host could not start.
        Some(1) => Some("watch"),
        // The next program could not be started.
        Some(6) => Some("retry"),
        // A program's end could not be written down, so a person is asked.
        Some(8) => Some("resume"),
        _ => panic!("{code:?}: {said}"),
    };
    if let Some(go_on) = go_on {
        assert!(said.contains(" space"), "{said}");
        let _ = site.run(&["runs", go_on, "last"]).code(0);
    }
    succeeded_once(&disk.0);
}

#[test]
fn a_disk_that_becomes_read_only_loses_no_run() {
    let site = Site::embedded();
    let test = "a_disk_that_becomes_read_only_loses_no_run";
    let Some(disk) = SmallDisk::under(&site, test) else {
        return;
    };
    let (mut host, work) = waiting_run(&site);
    host.kill().unwrap();
    host.wait().unwrap();
    File::create(work.join("go")).unwrap();
    // The supervisor writes down how its program ended, then lets go of the folder.
    std::thread::sleep(Duration::from_secs(1));
    disk.remount("ro");
    for command in [
        &["run", "two.yaml"][..],
        &["runs", "list"],
        &["runs", "watch", "last"],
    ] {
        site.run(command).code(1).says(&["Read-only", "--state"]);
    }
    disk.remount("rw");
    let (_, state) = only_run(&disk.0);
    assert_ne!(state, RunState::Succeeded);
    let _ = site.run(&["runs", "watch", "last"]).code(0);
    succeeded_once(&disk.0);
}

/// Overwrites the file from `at` on.
fn damage(file: &Path, at: u64, length: usize) {
    let mut file = File::options().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&vec![0xa5; length]).unwrap();
}

#[test]
fn a_damaged_database_is_named_and_a_backup_helps() {
    let site = Site::embedded();
    let state = site.path("state");
    site.write(
        "two.yaml",
        &WORKFLOW.replace("touch begun; until test -e go; do sleep 0.02; done", "true"),
    );
    let _ = site.run(&["run", "two.yaml"]).code(0);
    let _ = site.run(&["backup", "saved.db"]).code(0);
    let database = state.join("cofferdam.db");
    let mut whole = Vec::new();
    File::open(&database)
        .unwrap()
        .read_to_end(&mut whole)
        .unwrap();
    let length = u64::try_from(whole.len()).unwrap();
    for (what, at, size) in [
        ("the head", 0, 100),
        ("the schema", 100, 3000),
        ("all pages but the first", 4096, whole.len() - 4096),
    ] {
        damage(&database, at, size);
        for command in [&["run", "two.yaml"][..], &["runs", "list"]] {
            let ran = site.run(command);
            assert_eq!(ran.code, Some(1), "{what}, {command:?}: {ran:?}");
            ran.says(&["damaged", "restore"]);
        }
        fs::write(&database, &whole).unwrap();
    }
    // Half of it is gone.
    File::options()
        .write(true)
        .open(&database)
        .unwrap()
        .set_len(length / 2)
        .unwrap();
    let ran = site.run(&["run", "two.yaml"]).code(1);
    ran.says(&["damaged", "restore"]);
    let doctor = site.run(&["doctor"]).code(1);
    assert!(doctor.stdout.contains("damaged"), "{doctor:?}");
    let _ = site.run(&["restore", "saved.db", "--replace"]).code(0);
    succeeded_once(&state);
    let _ = site.run(&["run", "two.yaml"]).code(0);
}
