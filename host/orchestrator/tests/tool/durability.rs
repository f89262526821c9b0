//! One start for each key, whoever is killed when.

use crate::common::{Bench, SHELL, marked, sh, skip, unique_sleep, until};
use cofferdam_contract::types::ErrorCode;
use cofferdam_orchestrator::tool::folder::Folder;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Counts its starts, then waits for the file `go`.
const COUNTED: &str =
    "echo start >> ledger; touch ready; until [ -e go ]; do sleep 0.02; done; echo end";

fn starts(work: &Path) -> usize {
    let ledger = std::fs::read_to_string(work.join("ledger")).unwrap_or_default();
    ledger.lines().count()
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn supervisor(bench: &Bench) -> i32 {
    Folder::new(bench.operation("")).supervisor().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_start_starts_once() {
    for _ in 0..5 {
        let bench = Bench::new();
        let others: Vec<Bench> = (0..4).map(|_| Bench::at(&bench.state, SHELL)).collect();
        let tasks: Vec<_> = others
            .iter()
            .map(|other| other.spawn(sh(COUNTED)))
            .collect();
        until("it runs", || bench.work().join("ready").exists()).await;
        std::fs::write(bench.work().join("go"), "").unwrap();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap().tail, "end\n");
        }
        assert_eq!(starts(bench.work()), 1);
    }
}

/// This test binary again, as a host of its own that can be killed.
fn host_process(state: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "durability::host_for_another_test",
            "--ignored",
            "--nocapture",
        ])
        .env("COFFERDAM_TEST_STATE", state)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the host process of the tests that kill one"]
async fn host_for_another_test() {
    let Some(state) = std::env::var_os("COFFERDAM_TEST_STATE") else {
        println!("skipped: run by other tests, as a process of its own");
        return;
    };
    let bench = Bench::at(Path::new(&state), SHELL);
    assert_eq!(bench.sh(COUNTED).await.unwrap().tail, "end\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_host_is_followed_by_one_that_attaches() {
    let bench = Bench::new();
    // Killed early (nothing may have begun), later, and while the program runs.
    for delay in [0, 5, 20, 60] {
        let mut host = host_process(&bench.state);
        tokio::time::sleep(std::time::Duration::from_millis(delay)).await;
        host.kill().unwrap();
        host.wait().unwrap();
        assert!(starts(bench.work()) <= 1);
    }
    let mut host = host_process(&bench.state);
    until("it runs", || bench.work().join("ready").exists()).await;
    host.kill().unwrap();
    host.wait().unwrap();
    let waiting = bench.spawn(sh(COUNTED));
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    std::fs::write(bench.work().join("go"), "").unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().tail, "end\n");
    assert_eq!(starts(bench.work()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ends_without_a_host_is_not_forgotten() {
    let bench = Bench::new();
    let mut host = host_process(&bench.state);
    until("it runs", || bench.work().join("ready").exists()).await;
    host.kill().unwrap();
    host.wait().unwrap();
    std::fs::write(bench.work().join("go"), "").unwrap();
    until("its result", || bench.operation("result.json").exists()).await;
    assert_eq!(bench.sh(COUNTED).await.unwrap().tail, "end\n");
    assert_eq!(starts(bench.work()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_supervisor_takes_all_along_and_the_operation_is_lost() {
    let (bench, mark) = (Bench::new(), unique_sleep());
    let script =
        format!("echo start >> ledger; setsid sleep {mark} & sleep 0.1; touch ready; sleep {mark}");
    let task = bench.spawn(sh(&script));
    until("it runs", || bench.work().join("ready").exists()).await;
    kill(supervisor(&bench));
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::Other);
    assert!(error.message.contains("left no result"), "{error:?}");
    assert!(bench.journal.is_lost("op"));
    until("none is left", || marked(&mark) == 0).await;
    // Whoever asks again gets the same answer, and no second start.
    assert_eq!(bench.sh(&script).await.unwrap_err().code, ErrorCode::Other);
    assert_eq!(starts(bench.work()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_or_foreign_result_is_no_success() {
    let whole = {
        let bench = Bench::new();
        bench.sh("echo fine").await.unwrap();
        std::fs::read_to_string(bench.operation("result.json")).unwrap()
    };
    assert!(whole.contains("\"key\":\"key-op\""), "{whole}");
    let mut broken = vec![
        String::new(),
        "garbage".to_owned(),
        "null".to_owned(),
        "{}".to_owned(),
        "\0".repeat(whole.len()),
        format!("{whole}{whole}"),
        whole.replace("key-op", "key-other"),
        whole.replace("\"layout\":1", "\"layout\":2"),
    ];
    broken.extend((1..8).map(|eighth| whole[..whole.len() * eighth / 8].to_owned()));
    for text in broken {
        let bench = Bench::new();
        std::fs::create_dir_all(bench.operation("")).unwrap();
        std::fs::write(bench.operation("started"), "1\n").unwrap();
        std::fs::write(bench.operation("result.json"), &text).unwrap();
        let error = bench.sh("echo fine; touch ran").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Other, "{text}");
        assert!(bench.journal.is_lost("op"));
        assert!(!bench.work().join("ran").exists());
    }
}

/// A small file system, which can be filled; none where it cannot be mounted.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .status()
            .is_ok_and(|status| status.success());
        if mounted {
            return Some(Self(folder));
        }
        skip(
            "disk full",
            "a tmpfs cannot be mounted; run as root with CAP_SYS_ADMIN",
        );
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount")
            .arg("-l")
            .arg(self.0.path())
            .status()
            .ok();
    }
}

/// A host whose state is on `disk` and whose journal, another's concern, is not.
fn on(disk: &SmallDisk) -> (Bench, tempfile::TempDir) {
    let journal = tempfile::tempdir().unwrap();
    let bench = Bench::journalled_at(disk.0.path(), journal.path(), SHELL);
    (bench, journal)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_the_program_fills_still_has_room_for_the_result() {
    let Some(disk) = SmallDisk::new("4m") else {
        return;
    };
    let (bench, _journal) = on(&disk);
    let script = "echo begun; cat /dev/zero > filler; echo full";
    let ended = bench.sh(script).await.unwrap();
    assert_eq!(ended.exit, Some(0), "{ended:?}");
    assert!(
        ended.tail.contains("begun\n") && ended.tail.ends_with("full\n"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_starts_and_later_it_does() {
    let Some(disk) = SmallDisk::new("4m") else {
        return;
    };
    let (bench, _journal) = on(&disk);
    let script = "echo start >> ledger; cat ledger";
    let filler = bench.state.join("filler");
    std::fs::create_dir_all(bench.operation("")).unwrap();
    let free = 4 << 20;
    for left in [0, 16 << 10, 64 << 10] {
        std::fs::write(&filler, vec![0; free]).ok();
        let size = std::fs::metadata(&filler).unwrap().len();
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(&filler)
            .unwrap();
        file.set_len(size - left).unwrap();
        let error = bench.sh(script).await.unwrap_err();
        assert!(
            matches!(error.code, ErrorCode::NoSpace | ErrorCode::Unavailable),
            "{left}: {error:?}"
        );
        assert!(!bench.operation("started").exists());
    }
    std::fs::remove_file(&filler).unwrap();
    let ended = bench.sh(script).await.unwrap();
    assert_eq!(ended.tail, "start\n");
}
