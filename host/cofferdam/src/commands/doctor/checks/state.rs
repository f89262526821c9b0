//! The state folder and what is in it.

use crate::commands::doctor::treatment::Treatment;
use crate::commands::doctor::{Finding, Site};
use cofferdam_orchestrator::FileLock;
use cofferdam_store::{Store, StoreError};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

const RESTORE: &str =
    "stop the host and put a backup in its place: cofferdam restore FILE --replace";

/// Who holds the state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// A host that answers, or one that should.
    Host,
}

/// Whether the folder is there, ours, private and writable.
pub fn folder(site: &Site<'_>) -> Vec<Finding> {
    let folder = site.state.root();
    let metadata = match std::fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return vec![
                Finding::warning(
                    format!("the state folder {} is not there yet", folder.display()),
                    "the first command that needs it makes it",
                )
                .mended_by(Treatment::MakeFolder(folder.to_owned())),
            ];
        }
        Err(error) => {
            return vec![Finding::problem(
                format!(
                    "the state folder {} cannot be looked at: {error}",
                    folder.display()
                ),
                "name another with --state, or get the right to use it",
            )];
        }
    };
    if !metadata.is_dir() {
        return vec![Finding::problem(
            format!("{} is no folder", folder.display()),
            "name a folder with --state",
        )];
    }
    let mut findings = Vec::new();
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        findings.push(Finding::problem(
            format!(
                "the state folder {} belongs to another user",
                folder.display()
            ),
            "run as that user, or name another folder with --state",
        ));
    }
    findings.extend(private(
        folder,
        0o700,
        "others can look into the state folder, which holds inputs and outputs of runs",
    ));
    if let Err(error) = tempfile::tempfile_in(folder) {
        findings.push(Finding::problem(
            format!("nothing can be written in {}: {error}", folder.display()),
            "make room, or mount its file system writable",
        ));
    }
    findings
}

/// The finding that a file or folder has more permissions than it should.
fn private(path: &Path, mode: u32, comes_of_it: &str) -> Option<Finding> {
    let found = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (found & !mode != 0).then(|| {
        Finding::problem(
            format!("{} has mode {found:04o}: {comes_of_it}", path.display()),
            format!("chmod {mode:o} {}", path.display()),
        )
        .mended_by(Treatment::SetMode {
            path: path.to_owned(),
            mode,
        })
    })
}

/// Whether the key of the secrets is there when it is needed, private, and a key.
pub fn secret_key(site: &Site<'_>) -> Vec<Finding> {
    let own = site.state.secret_key();
    let (path, named) = match &site.config.secret_key {
        Some(path) => (path, true),
        None => (&own, false),
    };
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        // It is made when the first secret is set.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => return Vec::new(),
        Err(error) => {
            return vec![Finding::problem(
                format!(
                    "the key of the secrets {} cannot be read: {error}",
                    path.display()
                ),
                "without it no secret can be read; put it back, or set the secrets again with another key",
            )];
        }
    };
    let mut findings: Vec<Finding> = private(
        path,
        0o600,
        "others can read the key of the secrets, and the host refuses it",
    )
    .into_iter()
    .collect();
    if metadata.len() != 32 {
        findings.push(Finding::problem(
            format!(
                "the key of the secrets {} has {} bytes and not 32",
                path.display(),
                metadata.len()
            ),
            "put the right file back",
        ));
    }
    findings
}

/// Whether the database is whole and of a schema that this program knows.
pub fn database(site: &Site<'_>) -> Vec<Finding> {
    let path = site.state.database();
    if !path.exists() {
        // Opening would make one where nothing shows that there was one.
        return match Store::check_not_lost(&path) {
            Ok(()) => Vec::new(),
            Err(error) => vec![Finding::problem(error.to_string(), RESTORE)],
        };
    }
    let mut findings: Vec<Finding> = private(
        &path,
        0o600,
        "others can read inputs, outputs and logs of every run",
    )
    .into_iter()
    .collect();
    let checked = Store::open(&path).and_then(|store| store.check());
    if let Ok(report) = &checked
        && !report.is_sound()
    {
        findings.push(Finding::problem(
            format!(
                "{} is damaged: {}",
                path.display(),
                report.damage.join("; ")
            ),
            RESTORE,
        ));
    }
    if let Err(error) = checked {
        let advice = match &error {
            StoreError::NewerSchema { .. } => "use the newer cofferdam that wrote it",
            StoreError::Corrupt { .. } => RESTORE,
            StoreError::Full { .. } => "make room; the database itself needs no restore",
            StoreError::ReadOnly { .. } => {
                "mount its file system writable, or give this user the right to write; the database itself needs no restore"
            }
            StoreError::Locked { .. } => "wait for the other process to end, or stop it",
            _ => "look at the message; `cofferdam restore` puts a backup in its place",
        };
        findings.push(Finding::problem(error.to_string(), advice));
    }
    findings
}

/// Whether a host holds the folder and answers, or left something behind.
pub async fn host(site: &Site<'_>) -> (Holder, Vec<Finding>) {
    let socket = site.state.host_socket();
    let (mut held, mut answers) = (false, false);
    // A command that is the host for a moment holds the folder and takes no clients.
    for _ in 0..20 {
        held = FileLock::is_held(&site.state.host_lock());
        answers = tokio::net::UnixStream::connect(&socket).await.is_ok();
        if !held || answers {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    match (held, answers) {
        (true, true) => (Holder::Host, Vec::new()),
        (true, false) => (
            Holder::Host,
            vec![Finding::problem(
                format!(
                    "a host holds {} and does not answer at {}",
                    site.state.root().display(),
                    socket.display()
                ),
                "wait a moment, it may be starting or leaving; if it stays so, end that process: its runs can be resumed",
            )],
        ),
        (false, _) if socket.exists() => (
            Holder::Nobody,
            vec![
                Finding::warning(
                    format!("{} is left of a host that was killed", socket.display()),
                    "the next host replaces it",
                )
                .mended_by(Treatment::RemoveLeftover(socket)),
            ],
        ),
        (false, _) => (Holder::Nobody, Vec::new()),
    }
}
