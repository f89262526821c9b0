//! Time limits, dropped calls, and everything that a program started.

use crate::common::{Bench, SHELL, marked, sh, skip, unique_sleep, until};
use cofferdam_contract::types::ErrorCode;
use cofferdam_orchestrator::tool::folder::Folder;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that ignores SIGTERM, with a child that does, a child in a session of its own,
/// and an orphan in a session of its own; each runs `sleep MARK`. They are all there when
/// the file `ready` is.
fn stubborn(mark: &str) -> String {
    format!(
        "trap '' TERM
        sh -c 'trap \"\" TERM; sleep {mark}; :' &
        setsid sh -c 'trap \"\" TERM; sleep {mark}; :' &
        (setsid sh -c 'sleep {mark}; :' > /dev/null 2>&1 < /dev/null & ) &
        until [ $(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -cx {mark}) -ge 3 ]; do sleep 0.01; done
        touch ready
        sleep {mark}; sleep {mark}; sleep {mark}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_limit_stops_all_that_was_started() {
    // On a busy machine it takes longer until all processes are there.
    for timeout_ms in [1_000, 4_000, 16_000, 50_000] {
        let (bench, mark) = (Bench::new(), unique_sleep());
        let mut request = sh(&stubborn(&mark));
        request.timeout_ms = timeout_ms;
        let ended = bench.run(request).await.unwrap();
        assert!(
            ended.timed_out && ended.exit.is_none() && ended.signal.is_none(),
            "{ended:?}"
        );
        assert_eq!(marked(&mark), 0);
        if bench.work().join("ready").exists() {
            return;
        }
    }
    panic!("it never had all its processes");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grants_time_limit_applies_where_it_is_shorter() {
    let bench = Bench::with("[tool.sh]\nprogram = 'sh'\narguments = ['.*']\ntimeout = '200ms'");
    assert!(bench.sh("sleep 1000").await.unwrap().timed_out);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_call_stops_all_that_was_started() {
    let (bench, mark) = (Bench::new(), unique_sleep());
    let task = bench.spawn(sh(&stubborn(&mark)));
    until("all processes", || bench.work().join("ready").exists()).await;
    task.abort();
    until("none is left", || marked(&mark) == 0).await;
    // The next attempt learns that; the program is not started a second time.
    let error = bench.sh(&stubborn(&mark)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Cancelled);
    assert_eq!(marked(&mark), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_heeds_sigterm_can_clean_up() {
    let bench = Bench::new();
    let mut request =
        sh("trap 'echo cleaned; exit 0' TERM; echo ready; while :; do sleep 0.02; done");
    request.stop_when = vec!["ready".to_owned()];
    let ended = bench.run(request).await.unwrap();
    assert_eq!(ended.matched, Some(0));
    assert!(ended.tail.contains("cleaned"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_leaves_leaves_its_programs_running() {
    let bench = Bench::new();
    let script = "touch ready; until [ -e go ]; do sleep 0.02; done; echo through";
    let task = bench.spawn(sh(script));
    until("it runs", || bench.work().join("ready").exists()).await;
    bench.host.leave();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(!bench.operation("stop").exists());
    let next = Bench::at(&bench.state, SHELL);
    std::fs::write(bench.work().join("go"), "").unwrap();
    assert_eq!(next.sh(script).await.unwrap().tail, "through\n");
}

/// A supervisor on a machine that lets nobody make PID namespaces, or none where such a
/// machine cannot be had: a user namespace has its own limits (namespaces(7)).
fn without_namespaces(folder: &Path) -> Option<PathBuf> {
    let script = folder.join("supervisor");
    let text = format!(
        "#!/bin/sh
exec /usr/bin/unshare --user --map-root-user /bin/sh -c 'echo 0 > /proc/sys/user/max_pid_namespaces && exec \"$0\" \"$@\"' {} \"$@\"
",
        env!("CARGO_BIN_EXE_cofferdam-supervise")
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let works = Command::new("/usr/bin/unshare")
        .args(["--user", "--map-root-user", "/bin/sh", "-c"])
        .arg("echo 0 > /proc/sys/user/max_pid_namespaces")
        .status()
        .is_ok_and(|status| status.success());
    if works {
        return Some(script);
    }
    skip("no namespaces", "unshare cannot make a user namespace");
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn without_namespaces_all_that_was_started_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let Some(supervisor) = without_namespaces(folder.path()) else {
        return;
    };
    let new = |name: &str| {
        let state = folder.path().join(name);
        std::fs::create_dir(&state).unwrap();
        Bench::supervised(&supervisor, &state, &state.join("journal"), SHELL)
    };
    let (bench, mark) = (new("stopped"), unique_sleep());
    let task = bench.spawn(sh(&stubborn(&mark)));
    until("all processes", || bench.work().join("ready").exists()).await;
    task.abort();
    until("none is left", || marked(&mark) == 0).await;
    until("its result", || bench.operation("result.json").exists()).await;
    let result = std::fs::read_to_string(bench.operation("result.json")).unwrap();
    assert!(result.contains("no namespaces"), "{result}");

    let (bench, mark) = (new("killed"), unique_sleep());
    let task = bench.spawn(sh(&stubborn(&mark)));
    until("all processes", || bench.work().join("ready").exists()).await;
    let supervisor = Folder::new(bench.operation("")).supervisor().unwrap();
    let supervisor = rustix::process::Pid::from_raw(supervisor).unwrap();
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).unwrap();
    assert_eq!(task.await.unwrap().unwrap_err().code, ErrorCode::Other);
    until("none is left", || marked(&mark) == 0).await;

    let ended = new("plain").sh("echo fine").await.unwrap();
    assert_eq!((ended.exit, ended.tail.as_str()), (Some(0), "fine\n"));
}
