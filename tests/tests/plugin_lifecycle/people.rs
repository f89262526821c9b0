//! What people are shown.

use crate::site::{ID, prepare};
use cofferdam_tests::site::Site;
use std::fs;

#[test]
fn people_are_shown_what_is_wanted_and_how_to_grant_it() {
    let site = Site::embedded();
    prepare(&site);
    let ran = site
        .run(&["plugin", "install", "greeter-0.1.0.wasm"])
        .code(13);
    for words in [
        "greeter 0.1.0 (workflow-step)",
        "cofferdam:tool/tool: to greet with a program",
    ] {
        assert!(ran.stdout.contains(words), "{words} in {}", ran.stdout);
    }
    ran.says(&[
        "wants what it was not granted: cofferdam:tool/tool",
        "cofferdam plugin install greeter-0.1.0.wasm --grant",
        "[plugins.greeter.grants.tool.sh]",
        "restart it",
    ]);
    // The lines that were said, narrowed by nothing, grant it.
    let (_, lines) = ran.stderr.split_once("narrowed:\n").unwrap();
    let configuration = fs::read_to_string(site.path("cofferdam.toml")).unwrap();
    site.write("cofferdam.toml", &format!("{configuration}\n{lines}"));
    let ran = site
        .run(&["plugin", "install", "greeter-0.1.0.wasm", "--activate"])
        .code(0);
    assert!(
        ran.stdout.contains("all of it is granted"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("greeter 0.1.0 serves"),
        "{}",
        ran.stdout
    );
    let mut told = ran.stderr.lines();
    for stage in [
        "verify",
        "compile",
        "compare",
        "self-test",
        "publish",
        "drain",
        "retire",
    ] {
        let line = format!("{stage}: passed");
        assert!(
            told.any(|told| told.starts_with(&line)),
            "{line} in order in {}",
            ran.stderr
        );
    }

    // A table that grants something else is the operator's word, and is told.
    let other = lines.replace("grants.tool.sh", "grants.tool.echo");
    site.write("cofferdam.toml", &format!("{configuration}\n{other}"));
    let again = ["plugin", "install", "greeter-0.1.0.wasm", "--yes"];
    let ran = site.run(&again).code(0);
    assert!(
        !ran.stdout.contains("all of it is granted"),
        "{}",
        ran.stdout
    );
    let told = "do not grant:\n  cofferdam:tool/tool:\n    [sh]\n";
    assert!(ran.stdout.contains(told), "{}", ran.stdout);

    // An empty one takes back what is granted at an installation.
    let empty = format!("{configuration}\n[plugins.greeter.grants.tool]\n");
    site.write("cofferdam.toml", &empty);
    let list = site.run(&["plugin", "list"]).code(0).stdout;
    let line = list.lines().find(|line| line.starts_with("greeter "));
    assert!(line.unwrap().contains("cannot be used"), "{list}");

    // The configuration grants it no more: it cannot serve, and that is to be seen.
    site.write("cofferdam.toml", &configuration);
    let list = site.run(&["plugin", "list"]).code(0).stdout;
    let line = list.lines().find(|line| line.starts_with("greeter "));
    assert!(line.unwrap().contains("cannot be used"), "{list}");
    assert!(list.contains("greeter: "), "{list}");
    // The same file again, granted otherwise.
    let again = ["plugin", "install", "greeter-0.1.0.wasm", "--grant"];
    let ran = site.run(&again).code(0);
    assert!(!ran.stdout.contains("does not serve yet"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("it is granted:\n  [tool.sh]\n"),
        "{}",
        ran.stdout
    );

    let ran = site
        .run(&["plugin", "install", "greeter-0.3.0.wasm"])
        .code(13);
    for words in ["compared with 0.1.0, which serves", "~ cofferdam:tool/tool"] {
        assert!(ran.stdout.contains(words), "{words} in {}", ran.stdout);
    }
    let ran = site
        .run(&["plugin", "install", "greeter-0.4.0.wasm", "--activate"])
        .code(14);
    ran.says(&["self-test: failed", "0.1.0 serves as before"]);
    let list = site.run(&["plugin", "list", "--versions"]).code(0).stdout;
    let words =
        |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let rows: Vec<Vec<String>> = list.lines().map(words).collect();
    let has = |begin: &[&str], word: &str| {
        rows.iter().any(|row| {
            row.starts_with(&begin.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
                && row.iter().any(|found| found == word)
        })
    };
    assert!(has(&["workflow-step", ID, "0.1.0"], "installed"), "{list}");
    assert!(has(&[ID, "0.1.0"], "serves"), "{list}");
    assert!(has(&[ID, "0.1.0"], "sh"), "{list}");
    assert!(has(&[ID, "0.4.0"], "kept"), "{list}");
}
