//! The cases, and what sh thinks of the edited defaults.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use cofferdam_sdk::{
    FileTree as _, Fixer as _,
    testing::{Case, plugin_defaults, run_cases},
};

use crate::{DEFAULTS, Grub};

#[test]
fn cases() {
    run_cases(env!("CARGO_MANIFEST_DIR"), Grub::fix);
}

/// What sh prints when it has read the script and then the two variables.
fn run_by_sh(script: &[u8]) -> String {
    let mut shell = Command::new("sh")
        .args([
            "-c",
            ". /dev/stdin; printf '%s|%s' \"$GRUB_CMDLINE_LINUX\" \"$GRUB_CMDLINE_LINUX_DEFAULT\"",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(script).unwrap();
    let output = shell.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// sh reads every case's defaults before and after, and finds no hardware name afterwards
/// in what it then has in the variables, unless the case says that it stays.
#[test]
fn defaults_stay_readable_by_sh() {
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR"));
    let defaults = plugin_defaults(plugin).unwrap();
    let mut read = 0;
    for case in Case::all(plugin).unwrap() {
        let mut guest = case.guest(&defaults).unwrap();
        if guest.facts.os.kind != "linux"
            || !guest.is_file(DEFAULTS).unwrap()
            || case.name() == "unclosed-quote"
        {
            continue;
        }
        let before = run_by_sh(guest.files.content(DEFAULTS).unwrap());
        Grub::fix(&mut guest).unwrap();
        let after = run_by_sh(guest.files.content(DEFAULTS).unwrap());
        let words = |text: &str| text.matches(' ').count();
        assert!(words(&after) <= words(&before), "{}", case.name());
        let hardware = after.contains("=/dev/sd") || after.contains("=/dev/disk/by-path");
        assert!(!hardware, "{}: {after}", case.name());
        read += 1;
    }
    assert!(read >= 5, "only {read} cases have defaults");
}
