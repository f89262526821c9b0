//! `cofferdam plugin new`: what a stranger gets, outside this repository, builds and passes its
//! tests at once.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_tests::{binary, cofferdam, listing, run};
use std::path::Path;
use std::process::Command;

/// Cargo in a project, as its author runs it. What the project's lock names was fetched when
/// this tree was built, so that no registry is asked; and what this tree's plugins are built of
/// is built already.
fn prepared<'c>(command: &'c mut Command, project: &Path) -> &'c mut Command {
    let target = binary().parent().unwrap().parent().unwrap().to_owned();
    command
        .current_dir(project)
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TARGET_DIR", target)
}

#[test]
fn a_new_rust_project_of_each_world_passes_its_tests_and_is_built() {
    let folder = tempfile::tempdir().unwrap();
    for world in ["fixer", "workflow-step", "disk-source", "inspector"] {
        let name = format!("try-{world}");
        let new = ["plugin", "new", &name, "--world", world, "--lang", "rust"];
        let said = run(&mut cofferdam(folder.path(), &new)).code(0).stdout;
        let project = folder.path().join(&name);
        // What is said to come next is what is done next.
        let next: Vec<&str> = said.lines().skip(1).map(str::trim).collect();
        let (enter, build) = (format!("cd {name}"), "cofferdam plugin build");
        let test = format!("cofferdam plugin test {name}.wasm");
        assert_eq!(next, [&enter, "cargo test", build, &test], "{said}");
        let mut tests = Command::new("cargo");
        let ran = run(prepared(tests.arg("test"), &project)).code(0);
        assert!(ran.stdout.contains("tests::cases ... ok"), "{}", ran.stdout);
        let mut build = cofferdam(&project, &["plugin", "build"]);
        run(prepared(&mut build, &project)).code(0).says(&[]);
        let component = format!("{name}.wasm");
        let inspect = ["plugin", "inspect", &component, "--output", "json"];
        let inspected = run(&mut cofferdam(&project, &inspect)).code(0).json();
        assert_eq!(inspected["kind"], world);
        assert_eq!(inspected["manifest"]["id"], name);
        let test = ["plugin", "test", &component, "--output", "json"];
        let report = run(&mut cofferdam(&project, &test)).code(0).json();
        let checks = report["checks"].as_array().unwrap();
        assert_eq!(
            checks.last().unwrap()["result"],
            "passed",
            "its cases: {report:#}"
        );
        // The versions are those of the lock that came with it.
        let lock = std::fs::read_to_string(project.join("Cargo.lock")).unwrap();
        assert!(lock.contains("name = \"wit-bindgen\"\nversion = \"0.61.1\""));
        assert!(!lock.contains("\"wasmtime\""), "cargo strikes out the rest");
    }
}

#[test]
fn what_cannot_be_made_is_refused_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let new = |arguments: &[&str]| {
        let all: Vec<&str> = ["plugin", "new"].iter().chain(arguments).copied().collect();
        run(&mut cofferdam(folder.path(), &all))
    };
    for (arguments, words) in [
        (["Bad", "--world=fixer", "--lang=rust"], "such as old-names"),
        (["test", "--world=fixer", "--lang=rust"], "test-names"),
        (
            ["a", "--world=fixr", "--lang=rust"],
            "did you mean `fixer`?",
        ),
        (
            ["a", "--world=backend", "--lang=rust"],
            "there are disk-source, fixer",
        ),
        (["a", "--world=fixer", "--lang=rst"], "did you mean `rust`?"),
        (["a", "--world=fixer", "--lang=cobol"], "known are rust"),
    ] {
        new(&arguments).code(1).says(&[words]);
    }
    assert_eq!(listing(folder.path()), Vec::<String>::new());
    std::fs::create_dir(folder.path().join("a")).unwrap();
    std::fs::write(folder.path().join("a/mine"), "x").unwrap();
    let taken = new(&["a", "--world=fixer", "--lang=rust"]).code(1);
    taken.says(&["cannot make a", "--folder"]);
    assert_eq!(listing(folder.path()), ["a/", "a/mine"]);
    let made = new(&[
        "a",
        "--world=fixer",
        "--lang=rust",
        "--folder=deep/b",
        "--output=json",
    ]);
    let made = made.code(0).json();
    assert_eq!(made["folder"], "deep/b");
    assert_eq!(made["next"][0], "cd deep/b");
    for file in made["files"].as_array().unwrap() {
        let file = folder.path().join("deep/b").join(file.as_str().unwrap());
        assert!(file.is_file(), "{}", file.display());
    }
}
