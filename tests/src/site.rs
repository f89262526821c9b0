//! A place to run commands at: embedded on a state folder, or against a real `serve`.

use crate::{binary, link_plugins, plugins};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to listen. A machine that compiles meanwhile is slow.
const START: Duration = Duration::from_secs(120);

/// What the operator of a [`Site`] granted.
const GRANTS: &str = r#"
[plugins.command.grants.tool.sh]
program = "sh"
arguments = ["-c", "[\\s\\S]*"]
environment = { PATH = "/usr/bin:/bin" }
timeout = "2m"
"#;

/// The steps that a site has; loading every plugin would only take time.
const STEPS: [&str; 1] = ["command"];

/// Where commands are run.
pub struct Site {
    folder: tempfile::TempDir,
    server: Option<Server>,
}

struct Server {
    process: Child,
    url: String,
    token: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, as the test wanted.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Site {
    /// Every command is the host itself.
    ///
    /// # Panics
    /// If the folder cannot be made, or the plugins were not built.
    #[must_use]
    pub fn embedded() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cofferdam.toml"), GRANTS).unwrap();
        let without: Vec<String> = crate::components(&plugins())
            .iter()
            .map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned())
            .filter(|id| !STEPS.contains(&id.as_str()))
            .collect();
        let without: Vec<&str> = without.iter().map(String::as_str).collect();
        link_plugins(&folder.path().join("plugins"), &without);
        Self {
            folder,
            server: None,
        }
    }

    /// Every command is a client of a host that listens on a port of 127.0.0.1.
    ///
    /// # Panics
    /// If the host does not start.
    #[must_use]
    pub fn served() -> Self {
        let mut site = Self::embedded();
        site.start();
        site
    }

    /// Starts the host, again after [`Site::stop`].
    ///
    /// # Panics
    /// If it does not listen in time.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// As [`Site::start`], with more arguments for `serve`.
    ///
    /// # Panics
    /// If it does not listen in time.
    pub fn start_with(&mut self, more: &[&str]) {
        let address = self.path("address");
        fs::remove_file(&address).ok();
        let log = fs::File::create(self.path("server.log")).unwrap();
        let root = self.folder().to_str().unwrap().to_owned();
        let process = self
            .local(&["serve", "--listen", "127.0.0.1:0", "--file-root", &root])
            .args(["--address-file", "address", "--first-token-file", "token"])
            .args(more)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Server {
            process,
            url: String::new(),
            token: String::new(),
        };
        let begun = Instant::now();
        while !address.exists() {
            let log = || fs::read_to_string(self.path("server.log")).unwrap();
            if let Some(status) = server.process.try_wait().unwrap() {
                panic!("the host ended with {status}:\n{}", log());
            }
            assert!(
                begun.elapsed() < START,
                "the host does not listen:\n{}",
                log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        server.url = fs::read_to_string(address).unwrap().trim().to_owned();
        server.token = fs::read_to_string(self.path("token"))
            .unwrap()
            .trim()
            .to_owned();
        self.server = Some(server);
    }

    /// Kills the host as `kill -9` does.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Ends the host as a service manager does, and gives its exit code.
    ///
    /// # Panics
    /// If there is none.
    pub fn stop(&mut self) -> Option<i32> {
        let mut server = self.server.take().unwrap();
        let id = i32::try_from(server.process.id()).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        server.process.wait().unwrap().code()
    }

    /// The folder in which commands run.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the folder.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The server's address and first token.
    ///
    /// # Panics
    /// Without a server.
    #[must_use]
    pub fn server(&self) -> (&str, &str) {
        let server = self.server.as_ref().unwrap();
        (&server.url, &server.token)
    }

    /// A command on the state folder itself, whether a server is there or not.
    #[must_use]
    pub fn local(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .env("COFFERDAM_PLUGINS", self.path("plugins"))
            .env("COFFERDAM_STATE", self.path("state"))
            .env("USER", "admin")
            .env_remove("COFFERDAM_SERVER")
            .env_remove("COFFERDAM_TOKEN")
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .args(args);
        command
    }

    /// A command at this site.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.local(args);
        if let Some(server) = &self.server {
            command
                .env_remove("COFFERDAM_STATE")
                .env("COFFERDAM_SERVER", &server.url)
                .env("COFFERDAM_TOKEN", &server.token);
        }
        command
    }

    /// Runs a command to its end.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> crate::Ran {
        crate::run(&mut self.command(args))
    }

    /// Runs a command that is given this on standard input.
    ///
    /// # Panics
    /// If it cannot be run.
    #[must_use]
    pub fn run_with(&self, args: &[&str], input: &str) -> crate::Ran {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that does not want the input may be gone already.
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().unwrap();
        crate::Ran {
            code: status.code(),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }
}
