//! How a program can end, and what is known of it then.

use crate::common::{Bench, sh};
use cofferdam_contract::types::{ErrorCode, ToolOutcome};

fn outcome(tail: &str) -> ToolOutcome {
    ToolOutcome {
        exit: None,
        signal: None,
        matched: None,
        timed_out: false,
        tail: tail.to_owned(),
        output_bytes: tail.len() as u64,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_and_signals() {
    let cases = [
        ("exit 0", Some(0), None, ""),
        (
            "echo out; echo err >&2; exit 3",
            Some(3),
            None,
            "out\nerr\n",
        ),
        ("exit 255", Some(255), None, ""),
        ("kill -SEGV $$", None, Some(11), ""),
        ("kill -KILL $$", None, Some(9), ""),
        ("kill -TERM $$", None, Some(15), ""),
        // Only what it leaves behind holds the output open.
        ("sleep 1000 & echo done", Some(0), None, "done\n"),
        ("exec >&- 2>&-; exit 4", Some(4), None, ""),
    ];
    for (script, exit, signal, tail) in cases {
        let expected = ToolOutcome {
            exit,
            signal,
            ..outcome(tail)
        };
        assert_eq!(Bench::new().sh(script).await.unwrap(), expected, "{script}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_call_gets_the_recorded_outcome() {
    let bench = Bench::new();
    let script = "echo x >> ledger; cat ledger";
    let first = bench.sh(script).await.unwrap();
    assert_eq!(first.tail, "x\n");
    assert_eq!(bench.sh(script).await.unwrap(), first);
    let error = bench.sh("echo another").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert!(!bench.operation("spec.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_in_the_output_stops_it() {
    let bench = Bench::new();
    let mut request = sh(
        "printf 'Kernel panic'; sleep 0.2; printf 'never'; sleep 0.2; printf ' login'; sleep 0.2; echo ': '; sleep 1000",
    );
    request.stop_when = vec!["no such".to_owned(), "login: ".to_owned()];
    let ended = bench.run(request).await.unwrap();
    assert_eq!(
        (ended.matched, ended.exit, ended.signal, ended.timed_out),
        (Some(1), None, None, false)
    );
    assert!(ended.tail.ends_with("login: \n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_in_the_last_words_counts() {
    let bench = Bench::new();
    let mut request = sh("echo passed");
    request.stop_when = vec!["passed".to_owned()];
    let ended = bench.run(request).await.unwrap();
    assert_eq!((ended.matched, ended.exit), (Some(0), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_stopped_at_its_limit() {
    let grant = "[tool.sh]\nprogram = 'sh'\narguments = ['(?s).*']\noutput = '1MiB'";
    let bench = Bench::with(grant);
    let error = bench
        .sh("while :; do echo 0123456789abcdef0123456789abcdef; done")
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::Limit);
    assert!(error.hint.unwrap().contains("`output`"));
    assert_eq!(
        std::fs::metadata(bench.operation("output.log"))
            .unwrap()
            .len(),
        1 << 20
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_output_keeps_its_tail() {
    let bench = Bench::new();
    let ended = bench
        .sh("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done")
        .await
        .unwrap();
    assert_eq!(ended.exit, Some(0));
    assert_eq!(ended.tail.len(), 64 << 10);
    assert!(ended.tail.ends_with("line 19998\nline 19999\n"));
    let log = std::fs::read_to_string(bench.operation("output.log")).unwrap();
    assert_eq!(log.len() as u64, ended.output_bytes);
    assert_eq!(log.lines().count(), 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_is_neither_run_nor_journalled() {
    let bench = Bench::with("[tool.sh]\nprogram = 'sh'\narguments = ['-c', 'true']");
    let cases = [("false", "sh"), ("true", "bash")];
    for (script, program) in cases {
        let mut request = sh(script);
        request.program = program.to_owned();
        assert_eq!(
            bench.run(request).await.unwrap_err().code,
            ErrorCode::Denied
        );
    }
    assert_eq!(bench.journal.entry("op"), None);
    assert_eq!(bench.sh("true").await.unwrap().exit, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_start_can_be_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    let write = |text: &str| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("#!/no/such/interpreter\n");
    let grant = format!(
        "[tool.sh]\nprogram = '{}'\narguments = ['.*']",
        program.display()
    );
    let bench = Bench::with(&grant);
    let error = bench.sh("x").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert!(error.message.contains("No such file"), "{error:?}");
    write("#!/bin/sh\necho started >> ledger; cat ledger\n");
    assert_eq!(bench.sh("x").await.unwrap().tail, "started\n");
    assert_eq!(bench.sh("x").await.unwrap().tail, "started\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_among_the_arguments_do_not_reach_the_journal() {
    let bench = Bench::new();
    bench.sh("echo canary-51c2 > /dev/null").await.unwrap();
    let entry = bench.journal.entry("op").unwrap().to_string();
    assert!(!entry.contains("canary-51c2"), "{entry}");
}
