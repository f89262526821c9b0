//! The files that a run's steps made, for whoever may read the run from elsewhere.

use super::Runs;
use super::error::RunError;
use cofferdam_contract::types::ErrorCode;
use cofferdam_store::Artifact;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The largest file that is handed out, in bytes: reports, plans and consoles, not disks.
pub const MOST_FILE_BYTES: u64 = 32 << 20;

/// What inputs are called; whoever gave them has them.
const INPUTS: &str = "inputs/";

impl Runs {
    /// A file that a step of the run made, by its artifact's name.
    ///
    /// # Errors
    /// [`RunError::Store`] where the run has no such artifact; [`RunError::Artifact`] for an
    /// input, for one longer than [`MOST_FILE_BYTES`], and where the file cannot be read.
    pub async fn file(&self, run: &str, name: &str) -> Result<Vec<u8>, RunError> {
        let store = self.engine.store.clone();
        let (run, name) = (run.to_owned(), name.to_owned());
        let read = tokio::task::spawn_blocking(move || {
            let artifact = store.artifact(&run, &name)?;
            content(&artifact)
        });
        read.await
            .map_err(|error| RunError::Host(error.to_string()))?
    }
}

fn content(artifact: &Artifact) -> Result<Vec<u8>, RunError> {
    let refuse = |code, reason: String| RunError::Artifact {
        name: artifact.name.clone(),
        reason,
        code,
    };
    if artifact.name.starts_with(INPUTS) {
        let reason = "it is an input, and inputs are not handed out".to_owned();
        return Err(refuse(ErrorCode::Denied, reason));
    }
    if artifact.size > MOST_FILE_BYTES {
        let reason = format!(
            "it has {} bytes, and at most {MOST_FILE_BYTES} are handed out; it is at {} on the host's machine",
            artifact.size, artifact.path
        );
        return Err(refuse(ErrorCode::Limit, reason));
    }
    let bytes = read(Path::new(&artifact.path)).map_err(|error| {
        let code = match error.kind() {
            io::ErrorKind::NotFound => ErrorCode::NotFound,
            _ => ErrorCode::Unavailable,
        };
        refuse(code, format!("{}: {error}", artifact.path))
    })?;
    if bytes.len() as u64 == artifact.size {
        Ok(bytes)
    } else {
        let reason = format!("{} is not what the step left there", artifact.path);
        Err(refuse(ErrorCode::Corrupt, reason))
    }
}

/// A plain file, up to one byte beyond the limit. What stands in its place now may be
/// somebody's link to another file, or a pipe that nobody writes to.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(name: &str, path: &Path, size: u64) -> Artifact {
        Artifact {
            run: "run-1".to_owned(),
            name: name.to_owned(),
            path: path.to_str().unwrap().to_owned(),
            size,
            sha256: None,
        }
    }

    #[test]
    fn what_a_step_left_is_read_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("report"), "fine").unwrap();
        std::os::unix::fs::symlink(at("report"), at("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        let cases = [
            ("step/report", "report", 4, None),
            ("step/report", "report", 5, Some(ErrorCode::Corrupt)),
            (
                "step/report",
                "report",
                MOST_FILE_BYTES + 1,
                Some(ErrorCode::Limit),
            ),
            ("inputs/disk", "report", 4, Some(ErrorCode::Denied)),
            ("step/gone", "gone", 4, Some(ErrorCode::NotFound)),
            ("step/link", "link", 4, Some(ErrorCode::Unavailable)),
            ("step/pipe", "pipe", 0, Some(ErrorCode::Unavailable)),
            ("step/folder", ".", 4, Some(ErrorCode::Unavailable)),
        ];
        for (name, file, size, refused) in cases {
            let read = content(&artifact(name, &at(file), size));
            match refused {
                None => assert_eq!(read.unwrap(), b"fine", "{name}"),
                Some(code) => assert_eq!(read.unwrap_err().code(), code, "{name} at {file}"),
            }
        }
    }
}
