//! The unit tests of everything that is written in C, by the command that an author uses.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_fixtures::find;
use cofferdam_tests::{plugin_sources, workspace};
use std::process::Command;

#[test]
fn make_test_passes_in_every_folder_with_c() {
    for program in ["make", "cc"] {
        if find(program).is_none() {
            assert!(std::env::var_os("CI").is_none(), "there is no {program}");
            println!("skipped make_test_passes_in_every_folder_with_c: there is no {program}");
            return;
        }
    }
    let sdk = workspace().join("sdk/c");
    let mut folders = vec![sdk.clone(), sdk.join("template/fixer")];
    folders.extend(plugin_sources());
    folders.retain(|folder| folder.join("Makefile").is_file());
    assert!(folders.len() >= 3, "{folders:?}");
    for folder in folders {
        let build = tempfile::tempdir().unwrap();
        let ran = Command::new("make")
            .arg("test")
            .arg(format!("BUILD={}", build.path().display()))
            .arg(format!("SDK={}", sdk.display()))
            .current_dir(&folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{}: {said}", folder.display());
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(
            said.contains("all tests passed"),
            "{}: {said}",
            folder.display()
        );
    }
}
