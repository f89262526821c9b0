//! What a migration fixes at its beginning: plugins by digest, their settings, its time.
//!
//! The file `pins.json` in the run's folder is written once, by the first attempt of the
//! first step, after the components are in the component store. Every later attempt of
//! every step uses it.

use super::{MigrationPlugins, Migrations};
use crate::MigrateError;
use crate::migration::report::write_whole;
use crate::migration::request::GivenSettings;
use cofferdam_contract::kinds::{Kind, PluginSet};
use cofferdam_contract::types::{Error, ErrorCode};
use cofferdam_store::NewPin;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A plugin that a run uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its kind.
    pub kind: Kind,
    /// Sha256 of its component, lower-case hexadecimal.
    pub digest: String,
}

impl Pin {
    /// The pin as the host keeps it: its component is in the component store.
    fn kept(&self) -> NewPin {
        NewPin {
            id: self.id.clone(),
            version: self.version.clone(),
            digest: self.digest.clone(),
            path: format!("{}.wasm", self.digest),
        }
    }
}

/// What is fixed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pins {
    /// The plugins.
    pub(super) plugins: Vec<Pin>,
    /// Settings given for them, of the configuration and of the run.
    pub(super) settings: GivenSettings,
    /// Seconds since 1970: the plan's time where none is given.
    pub(super) seconds: i64,
}

fn failed(what: &str, path: &Path) -> impl Fn(std::io::Error) -> Error {
    let text = format!("cannot {what} {}", path.display());
    move |error| {
        let code = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                ErrorCode::NoSpace
            }
            std::io::ErrorKind::NotFound => ErrorCode::NotFound,
            _ => ErrorCode::Unavailable,
        };
        Error::new(code, format!("{text}: {error}"))
    }
}

impl Migrations {
    /// The run's pins, made if this is the first that asks. `more` are the run's settings.
    pub(super) async fn pin(&self, run: &str, more: &GivenSettings) -> Result<Pins, Error> {
        let known = self.pinned(run)?;
        let plugins = Arc::clone(&self.plugins);
        let (components, folder) = (self.paths.components(), self.folder(run));
        let (reach, run, more) = (Arc::clone(&self.reach), run.to_owned(), more.clone());
        tokio::task::spawn_blocking(move || {
            let pins = match known {
                Some(pins) => pins,
                None => make(plugins.as_ref(), &components, &folder, more)?,
            };
            // As the host knows them nobody removes them from under the run.
            let pinned: Vec<NewPin> = pins.plugins.iter().map(Pin::kept).collect();
            reach.pinned(&run, &pinned)?;
            Ok(pins)
        })
        .await
        .map_err(|error| Error::new(ErrorCode::Other, error.to_string()))?
    }

    /// The run's pins, if it has any.
    pub(super) fn pinned(&self, run: &str) -> Result<Option<Pins>, Error> {
        let file = self.folder(run).join("pins.json");
        match std::fs::read(&file) {
            Ok(json) => serde_json::from_slice(&json).map(Some).map_err(|error| {
                Error::new(
                    ErrorCode::Corrupt,
                    format!("{} is damaged: {error}; cancel the run", file.display()),
                )
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &file)(error)),
        }
    }

    /// The plugins that were pinned.
    pub(super) async fn load(&self, pins: &Pins) -> Result<PluginSet, Error> {
        let folder = self.paths.components();
        let located: Vec<(Pin, PathBuf)> = pins
            .plugins
            .iter()
            .map(|pin| (pin.clone(), component(&folder, &pin.digest)))
            .collect();
        self.plugins.load(&located).await
    }
}

fn component(folder: &Path, digest: &str) -> PathBuf {
    folder.join(format!("{digest}.wasm"))
}

fn make(
    plugins: &dyn MigrationPlugins,
    components: &Path,
    folder: &Path,
    more: GivenSettings,
) -> Result<Pins, Error> {
    let current = plugins.current()?;
    std::fs::create_dir_all(components).map_err(failed("make", components))?;
    std::fs::create_dir_all(folder).map_err(failed("make", folder))?;
    for (pin, file) in &current {
        let kept = component(components, &pin.digest);
        if kept.is_file() {
            continue;
        }
        let bytes = std::fs::read(file).map_err(failed("read", file))?;
        if hex::encode(Sha256::digest(&bytes)) != pin.digest {
            return Err(Error::new(
                ErrorCode::Conflict,
                format!(
                    "{} changed while the run was started; start it again",
                    file.display()
                ),
            ));
        }
        write_whole(&kept, &bytes).map_err(|error| unwritten(&error))?;
    }
    let mut settings = plugins.settings()?;
    for (plugin, given) in more {
        settings.entry(plugin).or_default().extend(given);
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let pins = Pins {
        plugins: current.into_iter().map(|(pin, _)| pin).collect(),
        settings,
        seconds: i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX),
    };
    let json = serde_json::to_vec_pretty(&pins);
    let json = json.map_err(|error| Error::new(ErrorCode::Other, error.to_string()))?;
    write_whole(&folder.join("pins.json"), &json).map_err(|error| unwritten(&error))?;
    Ok(pins)
}

fn unwritten(error: &MigrateError) -> Error {
    super::failure::error_of(error)
}
