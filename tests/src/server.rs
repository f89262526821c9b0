//! A host as people run it, `cofferdam serve`, and a plain client of its API.

use crate::{binary, plugins};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long to wait for what has to happen before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A running host. It is killed when this is dropped.
pub struct Server {
    process: Child,
    address: String,
    token: String,
    log: PathBuf,
}

/// What the API answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Status line, headers and body as they came.
    pub whole: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.whole))
    }
}

/// Waits until `found` gives something.
///
/// # Panics
/// If that takes longer than [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Server {
    /// Starts a host in `folder` with its state in `folder/state`, whose `cofferdam.toml` is
    /// read. Its log goes to `folder/serve.log`, the first token to `folder/token`.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        let log = folder.join("serve.log");
        let addresses = folder.join("addresses");
        let token = folder.join("token");
        // What an earlier host in the folder left.
        fs::remove_file(&addresses).ok();
        let process = Command::new(binary())
            .env("COFFERDAM_PLUGINS", plugins())
            .current_dir(folder)
            .args(["serve", "--listen", "127.0.0.1:0", "--state", "state"])
            .arg("--address-file")
            .arg(&addresses)
            .args(["--first-token-file", "token"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut server = Self {
            process,
            address: String::new(),
            token: String::new(),
            log,
        };
        let listening = wait_for("the host listens", || {
            if let Some(status) = server.process.try_wait().unwrap() {
                panic!("serve ended with {status}: {}", server.log());
            }
            fs::read_to_string(&addresses).ok()
        });
        let address = listening.lines().next().unwrap().trim();
        server.address = address.strip_prefix("http://").unwrap().to_owned();
        server.token = fs::read_to_string(&token).unwrap().trim().to_owned();
        server
    }

    /// The first token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// `http://ADDRESS`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// `GET path`, with more headers.
    #[must_use]
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers, None)
    }

    /// `POST path` with a body, with more headers.
    #[must_use]
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.ask("POST", path, headers, Some(body))
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let mut stream = self.send(method, path, headers, body);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        answer(&bytes)
    }

    /// What comes of a stream that does not end within `time`.
    #[must_use]
    pub fn listen(&self, path: &str, time: Duration) -> String {
        let mut stream = self.send("GET", path, &[], None);
        let begun = Instant::now();
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while begun.elapsed() < time {
            stream
                .set_read_timeout(Some(Duration::from_millis(100)))
                .unwrap();
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => all.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                // Nothing within the moment.
                Err(_) => {}
            }
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> TcpStream {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n",
            self.address, self.token
        );
        if method != "GET" {
            request.push_str("Content-Type: application/json\r\n");
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(&body);
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// Starts a run of a workflow's text and waits for its end; what the API says of it.
    ///
    /// # Panics
    /// If it is refused or does not end.
    #[must_use]
    pub fn run(&self, workflow: &str, headers: &[(&str, &str)]) -> Value {
        let request = serde_json::json!({"workflow": {"source": workflow}});
        let answer = self.post("/api/v1/runs", headers, &request);
        assert_eq!(answer.status, 201, "{}", answer.whole);
        let id = text(&answer.json(), "/run/id");
        wait_for("the run ends", || {
            let run = self.get(&format!("/api/v1/runs/{id}"), &[]).json();
            let state = text(&run, "/run/state");
            ["succeeded", "failed", "cancelled", "needs-attention"]
                .contains(&state.as_str())
                .then_some(run)
        })
    }

    /// Asks it to stop, as a service manager does, and waits until it has.
    ///
    /// # Panics
    /// If it does not stop or does not end well.
    pub fn stop(mut self) {
        let id = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let status = wait_for("the host stops", || self.process.try_wait().unwrap());
        assert!(
            status.success(),
            "serve ended with {status}: {}",
            self.log()
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no {pointer} in {value}"))
        .to_owned()
}

/// An answer over a connection that was closed after it (RFC 9112).
fn answer(bytes: &[u8]) -> Answer {
    let whole = String::from_utf8_lossy(bytes).into_owned();
    let (head, rest) = whole
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {whole:?}"));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("no status: {head}"));
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let body = if chunked {
        unchunked(rest)
    } else {
        rest.to_owned()
    };
    Answer {
        status,
        body,
        whole,
    }
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.split(';').next().unwrap_or(size), 16).unwrap();
        if size == 0 {
            break;
        }
        let (chunk, after) = after.split_at(size);
        body.push_str(chunk);
        rest = after.strip_prefix("\r\n").unwrap_or(after);
    }
    body
}
