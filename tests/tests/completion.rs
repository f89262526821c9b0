//! The scripts that complete commands are scripts, and know every command.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_fixtures::find;
use cofferdam_tests::{cofferdam, run};
use std::io::Write;
use std::path::Path;
use std::process::Command;

#[test]
fn scripts_parse_and_know_the_commands() {
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let ran = run(&mut cofferdam(Path::new("/"), &["completion", shell])).code(0);
        for command in [
            "serve",
            "runs",
            "workflow",
            "secret",
            "doctor",
            "--idempotency-key",
        ] {
            let command = if shell == "fish" {
                command.trim_start_matches("--")
            } else {
                command
            };
            assert!(ran.stdout.contains(command), "{shell}: {command}");
        }
        assert!(!ran.stdout.contains("supervise"), "{shell}: not for people");
        let Some(program) = find(shell) else {
            assert!(
                std::env::var_os("CI").is_none() || shell != "bash",
                "bash is missing"
            );
            eprintln!("skipped: {shell} is not here to read its script");
            continue;
        };
        let mut script = tempfile::NamedTempFile::new().unwrap();
        script.write_all(ran.stdout.as_bytes()).unwrap();
        let read = run(Command::new(program).arg(check).arg(script.path()));
        assert_eq!(read.code, Some(0), "{shell}: {}", read.stderr);
    }
}
