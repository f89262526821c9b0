//! What somebody at a terminal is asked.

use crate::site::{json, prepare};
use cofferdam_tests::Ran;
use cofferdam_tests::site::Site;
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};

/// Runs a command on a terminal of its own (`script` of util-linux makes one), where this is
/// typed.
fn at_terminal(site: &Site, args: &[&str], typed: &str) -> Ran {
    let inner = site.command(args);
    let quoted = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap());
    let line: Vec<String> = std::iter::once(inner.get_program())
        .chain(inner.get_args())
        .map(quoted)
        .collect();
    let mut command = Command::new("script");
    command
        .args(["-q", "-e", "-c", &line.join(" "), "/dev/null"])
        .current_dir(site.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn somebody_at_a_terminal_is_asked() {
    let site = Site::embedded();
    prepare(&site);
    let install = ["plugin", "install", "greeter-0.1.0.wasm"];
    let ran = at_terminal(&site, &install, "perhaps\nn\n").code(13);
    assert_eq!(
        ran.stdout
            .matches("grant what is missing and install?")
            .count(),
        2
    );
    let list = json(&site, &["plugin", "list"], 0, "plugin list");
    assert_eq!(list["installed"], Value::Array(Vec::new()));
    let ran = at_terminal(&site, &install, "y\n").code(0);
    assert!(
        ran.stdout.contains("installed greeter 0.1.0"),
        "{}",
        ran.stdout
    );
    // Nothing is to be granted, and it is asked all the same.
    let install = ["plugin", "install", "greeter-0.6.0.wasm", "--activate"];
    let ran = at_terminal(&site, &install, "n\n").code(3);
    assert!(
        ran.stdout.contains("install and activate?"),
        "{}",
        ran.stdout
    );
    let mut yes = install.to_vec();
    yes.push("--yes");
    let ran = at_terminal(&site, &yes, "").code(0);
    assert!(!ran.stdout.contains("[y]es"), "{}", ran.stdout);
}
