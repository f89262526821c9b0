//! `cofferdam plugin watch`: an author's folder is built at each change, and the plugin is
//! swapped while the host runs.
//!
//! **Design.** Each build that differs from the one before is installed under a version
//! number of its own, `0.1.0-dev.TIME` for `0.1.0`, because an installed version never
//! changes. The one that served before is removed as soon as nothing needs it any more, so
//! that a day's work leaves one behind and not hundreds. A build, an installation or a
//! stage that fails is told, and the next change is waited for: what served goes on. Without
//! a server this program is the host meanwhile, so that `cofferdam run` in another terminal
//! uses what was just built.

use super::plugin_build::{self, Built};
use super::plugin_sources::Sources;
use super::plugin_stages::follow;
use crate::cli::{Global, Output, WatchPlugin};
use crate::client::plugins::Handing;
use crate::client::problem::ClientError;
use crate::client::session::{Engine, Session};
use crate::exit::{CANCELLED, NotGranted};
use crate::progress::Interrupts;
use crate::render::{safe, say, sayln};
use anyhow::{Context, Result, bail};
use axum::body::Bytes;
use cofferdam_runtime::{embed_manifest, inspect};
use cofferdam_store::Activation;
use serde_json::{Value, json};
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

/// The longest wait between two looks.
const LONGEST: Duration = Duration::from_secs(60);

/// How often it is told that a build goes on.
const STILL: Duration = Duration::from_secs(10);

/// Watches until it is told to stop.
pub async fn run(command: &WatchPlugin, global: &Global) -> Result<ExitCode> {
    let interval = humantime::parse_duration(&command.interval)
        .ok()
        .filter(|interval| !interval.is_zero() && *interval <= LONGEST)
        .with_context(|| {
            format!(
                "{:?} is no duration up to 60s, such as 500ms",
                command.interval
            )
        })?;
    let folder = &command.folder;
    if !folder.join("plugin.toml").is_file() {
        bail!(
            "{} has no plugin.toml; name a plugin's folder, as for `cofferdam plugin build`",
            folder.display()
        );
    }
    Session::with(global, Engine::Working, async |session| {
        let mut interrupts = Interrupts::new()?;
        let mut watch = Watch {
            session,
            command,
            served: None,
            mine: Vec::new(),
        };
        tokio::select! {
            never = watch.forever(folder, interval) => never,
            _ = interrupts.next() => Ok(ExitCode::from(CANCELLED)),
        }
    })
    .await
}

struct Watch<'a> {
    session: &'a Session,
    command: &'a WatchPlugin,
    /// The digest of the build that serves, as it was built.
    served: Option<String>,
    /// Versions that this program installed, the one that serves included.
    mine: Vec<(String, String)>,
}

impl Watch<'_> {
    async fn forever(&mut self, folder: &Path, interval: Duration) -> Result<ExitCode> {
        let mut known = Sources::default();
        loop {
            // Before the build: what is saved while it goes on starts the next one.
            let begun = look(folder, &known).await?;
            if let Err(error) = self.swap(folder).await {
                self.tell(
                    "failed",
                    &json!({ "reason": error.to_string() }),
                    &format!("{error:#}; what served goes on, and the next change is waited for"),
                );
            }
            known = self.changed(folder, begun, interval).await?;
        }
    }

    /// Waits until something is different from `known`, and then until it rests.
    async fn changed(&self, folder: &Path, known: Sources, interval: Duration) -> Result<Sources> {
        let mut last = known.clone();
        loop {
            let now = look(folder, &last).await?;
            let resting = now.changed(&last).is_empty();
            let changed = now.changed(&known);
            last = now;
            if resting && !changed.is_empty() {
                let names: Vec<String> = changed.iter().map(|file| name(folder, file)).collect();
                let text = match names.as_slice() {
                    [one] => format!("{one} changed"),
                    [one, rest @ ..] => format!("{one} and {} more changed", rest.len()),
                    [] => String::new(),
                };
                self.tell("changed", &json!({ "files": names }), &text);
                return Ok(last);
            }
            tokio::time::sleep(interval).await;
        }
    }

    /// Builds, and swaps where the build is another one.
    async fn swap(&mut self, folder: &Path) -> Result<()> {
        let began = Instant::now();
        let built = self.build(folder).await?;
        let digest = built.inspection.digest.clone();
        if self.served.as_ref() == Some(&digest) {
            self.tell(
                "unchanged",
                &json!({ "digest": digest }),
                "built, and nothing differs",
            );
            return Ok(());
        }
        let begun = self.install(&built).await?;
        let plugin = &begun.plugin.clone();
        if let Some(to) = &begun.to {
            self.mine.push((plugin.clone(), to.version.clone()));
        }
        let followed = follow(&self.session.client, begun, |_| {}).await?;
        if let Some(failed) = followed.failed {
            return Err(failed.into());
        }
        self.served = Some(digest);
        let took = began.elapsed();
        if let Some(to) = &followed.activation.to {
            self.tidy(plugin, &to.version).await;
            self.tell(
                "swapped",
                &json!({
                    "plugin": plugin, "version": to.version, "digest": to.digest,
                    "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                }),
                &format!(
                    "{plugin} {} serves ({:.1} s)",
                    to.version,
                    took.as_secs_f64()
                ),
            );
        }
        Ok(())
    }

    /// Builds, and tells now and then that it goes on.
    async fn build(&self, folder: &Path) -> Result<Built> {
        let began = Instant::now();
        let mut build = pin!(plugin_build::build(folder));
        loop {
            tokio::select! {
                built = &mut build => return built,
                () = tokio::time::sleep(STILL) => {
                    let took = began.elapsed();
                    self.tell(
                        "building",
                        &json!({ "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX) }),
                        &format!("still building ({} s)", took.as_secs()),
                    );
                }
            }
        }
    }

    /// Installs a build under a number of its own, and begins to activate it.
    async fn install(&self, built: &Built) -> Result<Activation> {
        let mut manifest = built.inspection.manifest.clone();
        manifest.version = numbered(&manifest.version, SystemTime::now());
        let component = embed_manifest(&built.component, &manifest)?;
        let digest = inspect(&component)?.digest;
        let handing = Handing {
            digest: &digest,
            grant: self.command.grant,
            activate: true,
        };
        let client = &self.session.client;
        match client.install_plugin(Bytes::from(component), handing).await {
            Ok(answer) => answer
                .activation
                .context("the host installed the plugin and did not begin to activate it"),
            Err(ClientError::Problem(problem)) if problem.code == "denied" => Err(NotGranted(
                format!("{}; `--grant` grants it at each build", problem.detail),
            )
            .into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what was installed here before and serves no more. What a run still needs is
    /// refused, and tried again at the next swap.
    async fn tidy(&mut self, plugin: &str, serving: &str) {
        let mut kept = Vec::new();
        for (id, version) in std::mem::take(&mut self.mine) {
            let removed = id == plugin
                && version != serving
                && self
                    .session
                    .client
                    .remove_plugin(&id, &version)
                    .await
                    .is_ok();
            if !removed {
                kept.push((id, version));
            }
        }
        self.mine = kept;
    }

    /// One line for people, or one JSON object a line.
    fn tell(&self, event: &str, data: &Value, text: &str) {
        if self.session.output == Output::Json {
            let mut line = json!({ "event": event });
            if let (Some(line), Some(data)) = (line.as_object_mut(), data.as_object()) {
                line.extend(data.clone());
            }
            say(format_args!("{line}\n"));
        } else {
            sayln!("{}", safe(text));
        }
    }
}

async fn look(folder: &Path, known: &Sources) -> Result<Sources> {
    let (folder, known) = (folder.to_owned(), known.clone());
    Ok(tokio::task::spawn_blocking(move || Sources::look(&folder, &known)).await?)
}

fn name(folder: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(folder).unwrap_or(file);
    inside.display().to_string()
}

/// A version for a build of `version` at this time: a pre-release of it (semver 2.0.0, §9),
/// later builds after earlier ones.
fn numbered(version: &str, time: SystemTime) -> String {
    let millis = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    let core = version.split(['-', '+']).next().unwrap_or(version);
    format!("{core}-dev.{millis}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_contract::manifest::Manifest;

    #[test]
    fn each_build_has_a_version_that_a_manifest_may_have() {
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        for (version, expected) in [
            ("0.1.0", "0.1.0-dev.1700000000123"),
            ("1.2.3-beta.1+x", "1.2.3-dev.1700000000123"),
        ] {
            let numbered = numbered(version, at(1_700_000_000_123));
            assert_eq!(numbered, expected);
            let text = format!("id = \"a\"\nversion = \"{numbered}\"\nsummary = \"s\"");
            Manifest::parse(&text).unwrap();
        }
    }
}
