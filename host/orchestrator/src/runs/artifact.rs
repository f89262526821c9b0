//! Artifacts: the files that a run was given and that its steps made.
//!
//! A step's input names one as `artifact:STEP/FILE` or `artifact:inputs/NAME`. Components
//! never learn the path behind it.

use super::context::StepName;
use super::error::RunError;
use super::notice::Publisher;
use crate::identity::store_code;
use async_trait::async_trait;
use cofferdam_contract::services::Artifacts;
use cofferdam_contract::types::{Error, ErrorCode};
use cofferdam_store::{NewArtifact, Store, StoreError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What references begin with.
pub const SCHEME: &str = "artifact:";

/// The run's artifacts for one step.
pub struct StepArtifacts {
    /// Whose artifacts.
    pub name: StepName,
    /// Where they are recorded.
    pub store: Store,
    /// Who is told.
    pub publisher: Arc<Publisher>,
}

/// An error of the store as a step is told.
pub fn store_error(error: &StoreError) -> Error {
    Error::new(store_code(error), error.to_string())
}

#[async_trait]
impl Artifacts for StepArtifacts {
    async fn path(&self, reference: &str) -> Result<PathBuf, Error> {
        let name = reference.strip_prefix(SCHEME).ok_or_else(|| {
            Error::invalid(format!(
                "`{reference}` is not an artifact; references begin with `{SCHEME}`"
            ))
        })?;
        let artifact = self
            .store
            .artifact(&self.name.run, name)
            .map_err(|error| store_error(&error))?;
        Ok(PathBuf::from(artifact.path))
    }

    async fn add(&self, path: &Path, name: &str) -> Result<String, Error> {
        let text = path
            .to_str()
            .ok_or_else(|| Error::invalid(format!("the path {} is no UTF-8", path.display())))?;
        if !path.is_absolute() || name.is_empty() || name.contains('/') {
            return Err(Error::invalid(format!(
                "an artifact has an absolute path and a name without `/`, not {text} and `{name}`"
            )));
        }
        let name = format!("{}/{name}", self.name.step);
        let (store, run) = (self.store.clone(), self.name.run.to_string());
        let reference = format!("{SCHEME}{name}");
        let file = path.to_owned();
        let path = text.to_owned();
        let recorded = tokio::task::spawn_blocking(move || {
            let opened = std::fs::File::open(&file)
                .and_then(|opened| {
                    // The record says that the file is there, after a loss of power too.
                    opened.sync_all()?;
                    opened.metadata()
                })
                .map_err(|error| {
                    Error::new(
                        ErrorCode::NotFound,
                        format!("{} cannot become an artifact: {error}", file.display()),
                    )
                })?;
            store
                .record_artifact(
                    &run,
                    &NewArtifact {
                        name,
                        path,
                        size: opened.len(),
                        sha256: None,
                    },
                )
                .map_err(|error| store_error(&error))
        });
        recorded
            .await
            .map_err(|error| Error::new(ErrorCode::Other, error.to_string()))??;
        self.publisher.events_written();
        Ok(reference)
    }
}

/// The file of an input, checked. `roots` are the folders below which files may be given;
/// none for whoever may read every file anyway.
pub fn input_file(
    input: &str,
    given: &str,
    roots: Option<&[PathBuf]>,
) -> Result<NewArtifact, RunError> {
    let path = PathBuf::from(given);
    let refuse = |reason: String, code| RunError::File {
        input: input.to_owned(),
        path: path.clone(),
        reason,
        code,
    };
    if !path.is_absolute() {
        return Err(refuse(
            "the path is not absolute, and the host does not know from where it counts".to_owned(),
            ErrorCode::Invalid,
        ));
    }
    let denied = |roots: &[PathBuf]| {
        let shown: Vec<String> = roots
            .iter()
            .map(|root| root.display().to_string())
            .collect();
        let allowed = if shown.is_empty() {
            "the operator opened no folder for runs".to_owned()
        } else {
            format!("files below {} may be given", shown.join(", "))
        };
        refuse(
            format!("{allowed}; `file-roots` in cofferdam.toml opens a folder"),
            ErrorCode::Denied,
        )
    };
    let real = match (path.canonicalize(), roots) {
        (Ok(real), _) => real,
        // Outside the roots nobody finds out by asking which files there are.
        (Err(_), Some(roots)) if !roots.iter().any(|root| path.starts_with(root)) => {
            return Err(denied(roots));
        }
        (Err(error), _) => return Err(refuse(error.to_string(), ErrorCode::NotFound)),
    };
    if let Some(roots) = roots {
        let inside = roots
            .iter()
            .filter_map(|root| root.canonicalize().ok())
            .any(|root| real.starts_with(root));
        if !inside {
            return Err(denied(roots));
        }
    }
    let metadata = real
        .metadata()
        .map_err(|error| refuse(error.to_string(), ErrorCode::NotFound))?;
    if !metadata.is_file() {
        return Err(refuse(
            "it is not a regular file".to_owned(),
            ErrorCode::Invalid,
        ));
    }
    let text = real
        .to_str()
        .ok_or_else(|| refuse("its real path is no UTF-8".to_owned(), ErrorCode::Invalid))?;
    Ok(NewArtifact {
        name: format!("inputs/{input}"),
        path: text.to_owned(),
        size: metadata.len(),
        sha256: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_outside_the_roots_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::write(open.join("disk"), b"12345").unwrap();
        std::fs::write(folder.path().join("closed"), b"x").unwrap();
        std::os::unix::fs::symlink(folder.path().join("closed"), open.join("link")).unwrap();
        let roots = [open.clone()];
        let ask = |path: &Path, roots| input_file("d", path.to_str().unwrap(), roots);

        let artifact = ask(&open.join("disk"), Some(&roots[..])).unwrap();
        assert_eq!((artifact.name.as_str(), artifact.size), ("inputs/d", 5));
        for (path, code) in [
            (open.join("link"), ErrorCode::Denied),
            (open.join("../closed"), ErrorCode::Denied),
            (folder.path().join("closed"), ErrorCode::Denied),
            (folder.path().join("absent"), ErrorCode::Denied),
            (open.join("absent"), ErrorCode::NotFound),
            (open.clone(), ErrorCode::Invalid),
            (PathBuf::from("disk"), ErrorCode::Invalid),
        ] {
            let error = ask(&path, Some(&roots[..])).unwrap_err();
            assert_eq!(error.code(), code, "{}: {error}", path.display());
        }
        assert!(ask(&folder.path().join("closed"), None).is_ok());
    }
}
