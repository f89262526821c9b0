//! A real registry: Debian's `docker-registry`, on a port that the system chose.

use crate::server::wait_for;
use cofferdam_fixtures::find;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The user of [`RegistryServer::with_login`].
pub const USER: &str = "ann";
/// Her password.
pub const PASSWORD: &str = "open sesame";
/// Its bcrypt.
const HTPASSWD: &str = "ann:$2b$04$io5CTCxWQEVSAW8DRjj6Cepv.5iTF2YJzh9UftbB0rAd.G2W0B61W\n";

/// A registry of its own folder. It is stopped when this is dropped.
pub struct RegistryServer {
    process: Child,
    folder: tempfile::TempDir,
    address: String,
}

impl Drop for RegistryServer {
    fn drop(&mut self) {
        // It may have ended by itself, which a test has noticed.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl RegistryServer {
    /// Starts one that lets everybody read and write. None, and said so, where
    /// `docker-registry` is not installed.
    ///
    /// # Panics
    /// It does not start; or it is not installed, in CI.
    #[must_use]
    pub fn start(test: &str) -> Option<Self> {
        Self::with(test, "")
    }

    /// Starts one that wants [`USER`] and [`PASSWORD`].
    ///
    /// # Panics
    /// As [`RegistryServer::start`].
    #[must_use]
    pub fn with_login(test: &str) -> Option<Self> {
        Self::with(test, "auth: {htpasswd: {realm: plugins, path: htpasswd}}\n")
    }

    fn with(test: &str, more: &str) -> Option<Self> {
        let Some(program) = find("docker-registry") else {
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci != "true"),
                "docker-registry is missing; `cargo xtask setup` installs it"
            );
            eprintln!("skipped: {test} needs docker-registry, which `cargo xtask setup` installs");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"127.0.0.1:0\"}}\n{more}",
            folder.path().join("storage").display()
        );
        fs::write(folder.path().join("config.yml"), config).unwrap();
        fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
        let log = folder.path().join("log");
        let process = Command::new(program)
            .args(["serve", "config.yml"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut server = Self {
            process,
            folder,
            address: String::new(),
        };
        server.address = wait_for("the registry listens", || {
            let said = fs::read_to_string(&log).unwrap();
            if let Some(status) = server.process.try_wait().unwrap() {
                panic!("docker-registry ended with {status}:\n{said}");
            }
            let (_, rest) = said.split_once("listening on ")?;
            let end = rest.find(['"', ','])?;
            rest.get(..end).map(str::to_owned)
        });
        Some(server)
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The file that has the content of a digest (`sha256:…`).
    #[must_use]
    pub fn blob(&self, digest: &str) -> PathBuf {
        let digits = digest.strip_prefix("sha256:").unwrap();
        let folder = self
            .folder
            .path()
            .join("storage/docker/registry/v2/blobs/sha256");
        let (two, _) = digits.split_at(2);
        folder.join(two).join(digits).join("data")
    }

    /// Changes one byte of what the registry keeps, at its end but for `before` bytes.
    ///
    /// # Panics
    /// If there is no such thing.
    pub fn tamper(&self, digest: &str, before: usize) {
        let file = self.blob(digest);
        let mut content = fs::read(&file).unwrap();
        let byte = content.iter_mut().rev().nth(before).unwrap();
        *byte ^= 1;
        fs::write(&file, content).unwrap();
    }

    /// A request as it is, and the answer's status.
    ///
    /// # Panics
    /// If nobody answers.
    #[must_use]
    pub fn raw(&self, method: &str, path: &str, media: &str, body: &[u8]) -> u16 {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {media}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A file as `docker login` writes it, for this registry.
#[must_use]
pub fn docker_config(address: &str, user: &str, password: &str) -> String {
    serde_json::json!({"auths": {address: {"username": user, "password": password}}}).to_string()
}
