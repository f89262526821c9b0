//! `plugin watch`: an author's folder.

use crate::guest;
use crate::site::{ID, both, json};
use cofferdam_tests::output::validator;
use cofferdam_tests::run;
use cofferdam_tests::site::Site;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::thread;
use std::time::Duration;

/// What `plugin watch` tells, line by line.
struct Watching {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watching {
    fn start(site: &Site, folder: &Path) -> Self {
        let folder = folder.to_str().unwrap();
        let mut child = site
            .command(&["plugin", "watch", folder, "--interval", "50ms"])
            .args(["--output", "json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next thing told, which must be this.
    fn expect(&mut self, event: &str) -> Value {
        let value = self.expect_any();
        if let Err(error) = validator("plugin watch").validate(&value) {
            panic!("{error}: {value:#}");
        }
        assert_eq!(value["event"], event, "{value:#}");
        value
    }

    fn expect_any(&mut self) -> Value {
        let line = self.lines.next().unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn an_authors_folder_is_swapped_at_each_change() {
    for site in both() {
        let folder = site.path("author");
        fs::create_dir(&folder).unwrap();
        let source = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
        source(
            "plugin.toml",
            b"id = \"greeter\"\nversion = \"1.2.3\"\nsummary = \"greets\"\n\
              [build]\ncommand = [\"cp\", \"greeter.bin\", \"{output}\"]\n",
        );
        source("greeter.bin", &guest::step("", "", &[]));
        let mut watching = Watching::start(&site, &folder);
        let first = watching.expect("swapped");
        assert_eq!(first["plugin"], ID);
        assert!(first["version"].as_str().unwrap().starts_with("1.2.3-dev."));

        // What does not build, and what does not pass its self-test, changes nothing.
        source("greeter.bin", b"no component");
        assert_eq!(watching.expect("changed")["files"][0], "greeter.bin");
        watching.expect("failed");
        source(
            "greeter.bin",
            &guest::step("", "", &[("validate", "(unreachable)")]),
        );
        watching.expect("changed");
        let failed = watching.expect("failed");
        assert!(
            failed["reason"].as_str().unwrap().contains("self-test"),
            "{failed:#}"
        );
        let list = json(&site, &["plugin", "list"], 0, "plugin list");
        assert_eq!(list["installed"][0]["active"], first["version"]);

        source("notes.md", b"nothing that is built");
        watching.expect("changed");
        source(
            "greeter.bin",
            &guest::step("", "", &[("compensate", "(unreachable)")]),
        );
        let mut told = watching.expect_any();
        while told["event"] != "swapped" {
            told = watching.expect_any();
        }
        assert_ne!(told["version"], first["version"]);
        let list = json(&site, &["plugin", "list"], 0, "plugin list");
        assert_eq!(list["installed"][0]["active"], told["version"]);
        let versions = list["installed"][0]["versions"].as_array().unwrap();
        let has = |wanted: &Value| {
            versions
                .iter()
                .any(|v| v["installed"]["version"] == *wanted)
        };
        assert!(
            !has(&first["version"]),
            "what served before is tidied away: {list:#}"
        );
    }
}

/// Whether a process is there that is more than its entry in the table.
fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap()
            .trim_start()
            .starts_with('Z')
    })
}

#[test]
fn a_build_that_hangs_is_told_of_and_ends_with_the_command() {
    let site = Site::embedded();
    let folder = site.path("author");
    fs::create_dir(&folder).unwrap();
    let script = "sleep 3600 & echo $$ $! > pids.new; mv pids.new ../pids; wait";
    let manifest = format!(
        "id = \"greeter\"\nversion = \"1.2.3\"\nsummary = \"greets\"\n\
         [build]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n"
    );
    fs::write(folder.join("plugin.toml"), manifest).unwrap();
    let pids = site.path("pids");
    let interrupted = |child: &mut Child| {
        while !pids.exists() {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            thread::sleep(Duration::from_millis(20));
        }
        let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(id, Signal::INT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let tools = fs::read_to_string(&pids).unwrap();
        for pid in tools.split_whitespace() {
            // Whoever inherits it may take a moment to bury it.
            for _ in 0..500 {
                if !is_alive(pid) {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
            assert!(!is_alive(pid), "process {pid} of the build is still there");
        }
        fs::remove_file(&pids).unwrap();
    };

    let mut watching = Watching::start(&site, &folder);
    watching.expect("building");
    interrupted(&mut watching.child);

    let mut build = site.command(&["plugin", "build", "author"]);
    interrupted(&mut build.spawn().unwrap());
}

#[test]
fn watching_what_is_no_plugins_folder_says_so() {
    let site = Site::embedded();
    let mut command = site.command(&["plugin", "watch", "."]);
    run(&mut command).code(1).says(&["has no plugin.toml"]);
    let mut command = site.command(&["plugin", "watch", ".", "--interval", "never"]);
    run(&mut command).code(1).says(&["no duration"]);
}
