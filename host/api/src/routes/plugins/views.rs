//! What is shown of plugins.

use cofferdam_contract::grants::{Difference, Want, Widened};
use cofferdam_orchestrator::catalogue::{NATIVE, PluginInfo};
use cofferdam_orchestrator::plugins::{
    CrashAction, CrashPolicy, CrashState, Installed, Proposal, Version,
};
use cofferdam_store::{Activation, Crash, PluginVersion, Quarantine};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Where a plugin comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// It is part of the program.
    Native,
    /// A file of a plugin folder.
    Folder,
    /// An installed version.
    Installed,
}

/// A plugin that serves.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PluginView {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its kind: `workflow-step`, `fixer`, ...
    pub kind: String,
    /// SHA-256 of the component, hexadecimal, or `native:VERSION`.
    pub digest: String,
    /// Where it comes from.
    pub source: Source,
    /// One sentence on what it does.
    pub summary: String,
    /// JSON Schema of its settings.
    pub settings: Value,
    /// The interfaces it wants beyond those of its world.
    pub capabilities: Vec<String>,
    /// The component's file; none for native steps.
    pub path: Option<String>,
    /// Why it cannot be used, where it cannot.
    pub problem: Option<String>,
    /// How it does; none for native steps.
    pub crash: Option<CrashView>,
    /// What is done when it crashes; none for native steps.
    pub policy: Option<CrashPolicyView>,
}

impl PluginView {
    /// The plugin with how it does and what is done about it.
    pub fn new(info: PluginInfo, installed: bool, crash: CrashState, policy: CrashPolicy) -> Self {
        let native = info.digest.starts_with(NATIVE);
        Self {
            id: info.id,
            version: info.version,
            kind: info.kind.world().to_owned(),
            digest: info.digest,
            source: match (native, installed) {
                (true, _) => Source::Native,
                (false, true) => Source::Installed,
                (false, false) => Source::Folder,
            },
            summary: info.summary,
            settings: info.settings,
            capabilities: info.capabilities,
            path: info.path.map(|path| path.display().to_string()),
            problem: info.problem,
            crash: (!native).then(|| crash.into()),
            policy: (!native).then(|| policy.into()),
        }
    }
}

/// Plugins.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PluginList {
    /// The plugins that serve.
    pub items: Vec<PluginView>,
    /// Those that have installed versions, serving or not.
    pub installed: Vec<InstalledView>,
    /// The files of the plugin folders that are refused.
    pub refused: Vec<RefusedFileView>,
}

/// A file that is no plugin that this host can load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedFileView {
    /// The file.
    pub file: String,
    /// Why, and what to do.
    pub reason: String,
}

/// A plugin that has installed versions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct InstalledView {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// The active version; none where none is: then a file of the plugin folders serves, if
    /// there is one.
    pub active: Option<String>,
    /// Why the active version cannot be used, where it cannot.
    pub problem: Option<String>,
    /// What is done when it crashes.
    pub policy: CrashPolicyView,
    /// Its versions, the one installed last first.
    pub versions: Vec<VersionView>,
}

impl From<Installed> for InstalledView {
    fn from(installed: Installed) -> Self {
        Self {
            id: installed.id,
            kind: installed.kind.world().to_owned(),
            active: installed.active,
            problem: installed.problem,
            policy: installed.policy.into(),
            versions: installed.versions.into_iter().map(Into::into).collect(),
        }
    }
}

/// One installed version.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionView {
    /// What was installed, by whom and when, with which grants, and since when it is active.
    pub installed: PluginVersion,
    /// How it does.
    pub crash: CrashView,
    /// The runs that began with it and have not ended, the oldest first, at most 100. While
    /// there are any it cannot be removed.
    pub pinned_by: Vec<String>,
}

impl From<Version> for VersionView {
    fn from(version: Version) -> Self {
        Self {
            installed: version.record,
            crash: version.crash.into(),
            pinned_by: version.pinned_by,
        }
    }
}

/// How a version does.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CrashView {
    /// How often it crashed within the time that its policy counts.
    pub crashes: u32,
    /// The last of these crashes.
    pub last: Option<Crash>,
    /// Since when and why it is not called any more, where that is so.
    pub quarantine: Option<Quarantine>,
    /// The runs that are parked until it is back, the oldest first.
    pub waiting: Vec<String>,
    /// How many calls of it are going on.
    pub calls: u64,
}

impl From<CrashState> for CrashView {
    fn from(state: CrashState) -> Self {
        Self {
            crashes: state.crashes,
            last: state.last,
            quarantine: state.quarantine,
            waiting: state.waiting,
            calls: state.calls,
        }
    }
}

/// What is done about a plugin that crashes, as `[plugins.ID.crash]` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CrashPolicyView {
    /// What is done.
    pub policy: CrashActionView,
    /// How many crashes it takes.
    pub crashes: u32,
    /// Within which time, milliseconds.
    pub within_ms: u64,
    /// Attempts in all where attempts are made again.
    pub attempts: u32,
}

/// What is done about a version that crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CrashActionView {
    /// The call fails, and nothing else happens.
    Fail,
    /// A step's attempt is made again after a while.
    Retry,
    /// After so many crashes it is not called any more.
    Quarantine,
    /// After so many crashes the version before comes back.
    RollBack,
}

impl From<CrashPolicy> for CrashPolicyView {
    fn from(policy: CrashPolicy) -> Self {
        Self {
            policy: match policy.policy {
                CrashAction::Fail => CrashActionView::Fail,
                CrashAction::Retry => CrashActionView::Retry,
                CrashAction::Quarantine => CrashActionView::Quarantine,
                CrashAction::RollBack => CrashActionView::RollBack,
            },
            crashes: policy.crashes,
            within_ms: u64::try_from(policy.within.0.as_millis()).unwrap_or(u64::MAX),
            attempts: policy.attempts,
        }
    }
}

/// One capability that a component wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WantView {
    /// The capability: `cofferdam:tool/tool`, `wasi:http`, ...
    pub interface: String,
    /// Why it is needed, in the plugin's own words.
    pub why: String,
    /// The scope that the plugin proposes: what belongs under `[plugins.ID.grants.KEY]`.
    pub grant: Map<String, Value>,
}

impl From<Want> for WantView {
    fn from(want: Want) -> Self {
        Self {
            interface: want.interface,
            why: want.why,
            grant: want.grant,
        }
    }
}

/// A capability that a version wants with another scope than the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WidenedView {
    /// The capability.
    pub interface: String,
    /// Why the new version needs it.
    pub why: String,
    /// The scope that the old version proposed.
    pub before: Map<String, Value>,
    /// The scope that the new version proposes.
    pub after: Map<String, Value>,
}

impl From<Widened> for WidenedView {
    fn from(widened: Widened) -> Self {
        Self {
            interface: widened.interface,
            why: widened.why,
            before: widened.before,
            after: widened.after,
        }
    }
}

/// How what a version wants differs from what another wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DifferenceView {
    /// Wanted only by the new version.
    pub added: Vec<WantView>,
    /// Wanted by both, by the new one with a scope that is not within the old one's.
    pub widened: Vec<WidenedView>,
    /// Wanted only by the old version.
    pub dropped: Vec<WantView>,
}

impl DifferenceView {
    /// Whether the new version wants nothing that the old one did not want.
    pub fn wants_no_more(&self) -> bool {
        self.added.is_empty() && self.widened.is_empty()
    }
}

impl From<Difference> for DifferenceView {
    fn from(difference: Difference) -> Self {
        Self {
            added: difference.added.into_iter().map(Into::into).collect(),
            widened: difference.widened.into_iter().map(Into::into).collect(),
            dropped: difference.dropped.into_iter().map(Into::into).collect(),
        }
    }
}

/// What installing a component would mean. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProposalView {
    /// The plugin's id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its kind.
    pub kind: String,
    /// SHA-256 of the component, hexadecimal.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// One sentence on what it does.
    pub summary: String,
    /// The interfaces it imports, WASI apart.
    pub imports: Vec<String>,
    /// What it wants beyond what its kind always has, and why.
    pub wants: Vec<WantView>,
    /// The active version, if there is one.
    pub active: Option<String>,
    /// How what it wants differs from what the active version wants; without an active
    /// version everything is added.
    pub difference: DifferenceView,
    /// What somebody has to grant so that it can be installed: what neither the
    /// configuration nor the active version's grants cover.
    pub missing: DifferenceView,
    /// What a table of the configuration leaves out of what it wants: programs that it does
    /// not name, secrets and hosts that none of its patterns match. The configuration decides:
    /// the plugin is installed without.
    pub left_out: Vec<WantView>,
    /// The lines of `cofferdam.toml` that would grant what is missing as the plugin
    /// proposes; empty where nothing is.
    pub lines: String,
    /// Whether exactly this component is installed already.
    pub installed: bool,
}

impl From<Proposal> for ProposalView {
    fn from(proposal: Proposal) -> Self {
        Self {
            id: proposal.manifest.id,
            version: proposal.manifest.version,
            kind: proposal.kind.world().to_owned(),
            digest: proposal.digest,
            size: proposal.size,
            summary: proposal.manifest.summary,
            imports: proposal.imports,
            wants: proposal.wants.into_iter().map(Into::into).collect(),
            active: proposal.active,
            difference: proposal.difference.into(),
            missing: proposal.missing.into(),
            left_out: proposal.left_out.into_iter().map(Into::into).collect(),
            lines: proposal.lines,
            installed: proposal.installed,
        }
    }
}

/// What installing a component came to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct InstallAnswer {
    /// The version as it is installed now.
    pub version: PluginVersion,
    /// Letting it serve, where that was asked for.
    pub activation: Option<Activation>,
}
