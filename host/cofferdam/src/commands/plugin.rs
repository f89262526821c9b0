//! `cofferdam plugin`: which command is whose, and `inspect`.

use super::{
    plugin_build, plugin_install, plugin_limits, plugin_list, plugin_new, plugin_registry,
    plugin_replay, plugin_test, plugin_versions, plugin_watch,
};
use crate::cli::{Global, Output, Plugin};
use crate::config::Config;
use crate::render::{bytes, json, safe_line, sayln};
use anyhow::{Context, Result};
use cofferdam_contract::grants::capability;
use cofferdam_orchestrator::grants::Said;
use cofferdam_runtime::{Inspection, PluginFile};
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

/// Does a `plugin` command.
pub async fn run(command: &Plugin, global: &Global) -> Result<ExitCode> {
    match command {
        Plugin::List(command) => plugin_list::run(command, global).await,
        Plugin::New(command) => plugin_new::run(command, global.output),
        Plugin::Inspect { file } => inspect(file, global),
        Plugin::Build { folder, out } => {
            plugin_build::run(folder, out.as_deref(), global.output).await
        }
        Plugin::Test(command) => {
            super::local_only(global, "plugin test")?;
            plugin_test::run(command, global.output).await
        }
        Plugin::Replay {
            recording,
            component,
        } => plugin_replay::run(recording, component.as_deref(), global).await,
        Plugin::Install(command) => plugin_install::install(command, global).await,
        Plugin::Activate { id, version } => {
            plugin_install::activate(id, version.as_deref(), global).await
        }
        Plugin::Rollback { id } => plugin_install::rollback(id, global).await,
        Plugin::Remove { id, version } => plugin_versions::remove(id, version, global).await,
        Plugin::History { id, limit } => plugin_versions::history(id, *limit, global).await,
        Plugin::Release { id, version } => {
            plugin_versions::release(id, version.as_deref(), global).await
        }
        Plugin::Watch(command) => plugin_watch::run(command, global).await,
        Plugin::Push {
            file,
            reference,
            ask,
        } => plugin_registry::push(file, reference, *ask, global).await,
        Plugin::Pull {
            reference,
            out,
            ask,
        } => plugin_registry::pull(reference, out.as_deref(), *ask, global).await,
        Plugin::Search { place, text, ask } => {
            plugin_registry::search(place, text, *ask, global).await
        }
        Plugin::Keygen { name } => plugin_registry::keygen(name, global.output),
        Plugin::Sign {
            reference,
            key,
            ask,
        } => plugin_registry::sign(reference, key, *ask, global).await,
        Plugin::Verify {
            reference,
            key,
            ask,
        } => plugin_registry::verify(reference, key.as_deref(), *ask, global).await,
    }
}

/// What a file says of itself, and what it may use here.
#[derive(Serialize)]
struct Inspected<'a> {
    #[serde(flatten)]
    inspection: &'a Inspection,
    limits: Vec<plugin_limits::LimitInForce>,
    grants: Vec<Grant>,
}

/// What the configuration says of a capability that the plugin wants.
#[derive(Serialize)]
struct Grant {
    interface: String,
    configured: Configured,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Configured {
    /// There is no table: what was granted at the installation counts.
    Silent,
    /// The table is empty: nothing is granted, whatever was at the installation.
    Nothing,
    /// The table grants something.
    Granted,
}

impl Configured {
    fn words(self) -> &'static str {
        match self {
            Self::Silent => "needs a grant",
            Self::Nothing => {
                "not granted: the table in the configuration is empty, whatever was granted at an installation"
            }
            Self::Granted => "granted in the configuration",
        }
    }
}

fn grants(inspection: &Inspection, config: &Config) -> Vec<Grant> {
    let said = config
        .plugins
        .get(&inspection.manifest.id)
        .map(|plugin| plugin.grants.said());
    let of = |interface: &str| {
        let mut said = said.iter().flatten();
        match said.find(|(capability, _)| *capability == interface) {
            Some((_, Some(Said::Nothing))) => Configured::Nothing,
            Some((_, Some(Said::Something))) => Configured::Granted,
            _ => Configured::Silent,
        }
    };
    let wants = inspection.wants().into_iter();
    wants
        .map(|want| Grant {
            configured: of(&want.interface),
            interface: want.interface,
        })
        .collect()
}

fn inspect(file: &Path, global: &Global) -> Result<ExitCode> {
    // The limits in force are those of the configuration, which a server has its own of.
    super::local_only(global, "plugin inspect")?;
    let config = Config::read(global.config.as_deref())?;
    let plugin = PluginFile::read(file)
        .with_context(|| format!("{} is no plugin for this host", file.display()))?;
    let inspection = &plugin.inspection;
    let limits = plugin_limits::in_force(&inspection.manifest, &config);
    let grants = grants(inspection, &config);
    if global.output == Output::Json {
        json(&Inspected {
            inspection,
            limits,
            grants,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    describe(inspection, &limits, &grants);
    Ok(ExitCode::SUCCESS)
}

fn describe(inspection: &Inspection, limits: &[plugin_limits::LimitInForce], grants: &[Grant]) {
    let manifest = &inspection.manifest;
    sayln!(
        "{} {} ({})",
        manifest.id,
        safe_line(&manifest.version),
        inspection.kind
    );
    sayln!("  {}", safe_line(&manifest.summary));
    sayln!(
        "world:   cofferdam:plugin/{}@0.1.0",
        inspection.kind.world()
    );
    sayln!("digest:  sha256:{}", inspection.digest);
    sayln!("size:    {}", bytes(inspection.size));
    sayln!("capabilities wanted:");
    for import in &inspection.imports {
        let inherent = inspection
            .kind
            .inherent_imports()
            .contains(&import.as_str());
        let note = if inherent {
            "of its world"
        } else {
            let of = capability(import);
            let grant = grants.iter().find(|grant| grant.interface == of);
            grant
                .map_or(Configured::Silent, |grant| grant.configured)
                .words()
        };
        sayln!("  {}  ({note})", safe_line(import));
    }
    if !inspection.wasi.is_empty() {
        let time = if inspection.kind.is_pure() {
            "its clocks stand still and its random bytes follow from the plan's time"
        } else {
            "its clocks run"
        };
        sayln!(
            "  {} WASI interfaces, inert: no files, network or environment; {time}",
            inspection.wasi.len()
        );
    }
    for want in inspection.wants() {
        sayln!(
            "grant:   {}: {}",
            safe_line(&want.interface),
            safe_line(&want.why)
        );
        for line in inspection.lines(&want).lines() {
            sayln!("  {}", safe_line(line));
        }
    }
    plugin_limits::show(limits);
    for (word, ids) in [
        ("after: ", &manifest.order.after),
        ("before:", &manifest.order.before),
    ] {
        if !ids.is_empty() {
            sayln!("{word}  {}", safe_line(&ids.join(", ")));
        }
    }
    let settings = manifest
        .settings
        .get("properties")
        .and_then(|p| p.as_object());
    for (name, schema) in settings.into_iter().flatten() {
        let text = |key: &str| schema.get(key).map(ToString::to_string).unwrap_or_default();
        sayln!(
            "setting: {}.{} (default {}): {}",
            manifest.id,
            safe_line(name),
            safe_line(&text("default")),
            safe_line(text("description").trim_matches('"'))
        );
    }
}
