//! Artifacts in and out of a step's programs.

use crate::common::{Bench, artifact, sh, text};
use cofferdam_contract::services::Tools;
use cofferdam_contract::types::ErrorCode;
use cofferdam_orchestrator::tool::Denied;
use std::os::unix::fs::symlink;

#[tokio::test(flavor = "multi_thread")]
async fn only_regular_files_of_the_working_folder_are_kept() {
    let bench = Bench::new();
    let work = bench.work();
    std::fs::write(work.join("file"), "x").unwrap();
    std::fs::create_dir(work.join("sub")).unwrap();
    std::fs::write(work.join("sub/file"), "x").unwrap();
    std::fs::write(bench.state.join("outside"), "x").unwrap();
    symlink("file", work.join("link")).unwrap();
    symlink("/etc", work.join("etc")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        work.join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let invalid = Some(ErrorCode::Invalid);
    let cases = [
        ("file", "name", None),
        ("sub/file", "Name-1.qcow2", None),
        ("none", "name", Some(ErrorCode::NotFound)),
        ("file/x", "name", Some(ErrorCode::NotFound)),
        ("sub", "name", invalid),
        ("fifo", "name", invalid),
        ("link", "name", invalid),
        ("etc/passwd", "name", invalid),
        ("../../../outside", "name", invalid),
        ("/etc/passwd", "name", invalid),
        ("sub/../file", "name", invalid),
        ("./file", "name", invalid),
        ("sub//file", "name", invalid),
        ("", "name", invalid),
        ("file\0", "name", invalid),
        ("file", "", invalid),
        ("file", "../name", invalid),
        ("file", "-name", invalid),
        ("file", "a/b", invalid),
    ];
    for (file, name, expected) in cases {
        let kept = bench.runner.keep(file, name).await;
        assert_eq!(
            kept.clone().err().map(|error| error.code),
            expected,
            "{file:?} {name:?}"
        );
        if expected.is_none() {
            assert_eq!(kept.unwrap(), format!("artifact:step/{name}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_can_be_used_until_it_becomes_a_link_out() {
    let bench = Bench::new();
    std::fs::write(bench.work().join("disk"), "content").unwrap();
    let reference = bench.runner.keep("disk", "disk").await.unwrap();
    let mut request = sh("cat \"$0\"");
    request.arguments.push(artifact(&reference, "{}", false));
    assert_eq!(bench.run(request.clone()).await.unwrap().tail, "content");
    std::fs::remove_file(bench.work().join("disk")).unwrap();
    symlink("/etc/passwd", bench.work().join("disk")).unwrap();
    request.operation = "another".to_owned();
    let error = bench.run(request).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_that_the_run_does_not_have_is_not_found() {
    let bench = Bench::new();
    let mut request = sh("cat \"$0\"");
    request
        .arguments
        .push(artifact("artifact:inputs/none", "{}", false));
    assert_eq!(
        bench.run(request).await.unwrap_err().code,
        ErrorCode::NotFound
    );
    assert_eq!(bench.journal.entry("op"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strange_name_reaches_the_program_as_a_plain_path() {
    let bench = Bench::new();
    std::fs::write(bench.state.join("inputs/-rf,x\ny.img"), "content").unwrap();
    let mut request = sh("");
    request.arguments = vec![
        text("-c"),
        text("echo \"$0\"; cat \"${0#file=}\""),
        artifact("artifact:inputs/-rf,x\ny.img", "file={}", false),
    ];
    let ended = bench.run(request).await.unwrap();
    assert_eq!(ended.tail, "file=artifacts/op-2--rf_x_y.img\ncontent");
}

#[tokio::test]
async fn looking_runs_nothing() {
    assert_eq!(
        Denied.run(sh("true")).await.unwrap_err().code,
        ErrorCode::Denied
    );
    assert_eq!(
        Denied.keep("a", "b").await.unwrap_err().code,
        ErrorCode::Denied
    );
}
