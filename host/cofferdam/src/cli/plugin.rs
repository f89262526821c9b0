//! `cofferdam plugin`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The commands of `plugin`.
#[derive(Subcommand)]
pub enum Plugin {
    /// The plugins of the host: which version serves, whether it is well, what was refused
    /// and why.
    List(ListPlugins),
    /// Begin a plugin: a small project that builds and passes its tests at once.
    New(NewPlugin),
    /// What a file is, wants and is limited to. Nothing of it is run.
    Inspect {
        /// The component.
        file: PathBuf,
    },
    /// Build a plugin's folder into a component that carries its manifest.
    Build {
        /// The folder with plugin.toml.
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// The component to write [default: ID.wasm].
        #[arg(short = 'o', long = "out", value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Run the conformance kit: whether a component keeps the contract of its world, and what to
    /// change where it does not. Nothing outside is touched.
    Test(TestPlugin),
    /// Run a plugin against recordings of its calls, without what they happened on, and say
    /// whether it does the same. Nothing outside is touched.
    Replay {
        /// A file that the filter `record` wrote, or a folder of them.
        recording: PathBuf,
        /// The component to run [default: the plugin of that id in the plugin folders].
        #[arg(long, value_name = "FILE")]
        component: Option<PathBuf>,
    },
    /// Keep a component as an installed version. What it wants and why is shown first.
    Install(InstallPlugin),
    /// Let an installed version serve. Where a stage fails, the version before goes on.
    Activate {
        /// The plugin.
        id: String,
        /// The version [default: the one installed last].
        version: Option<String>,
    },
    /// Let the version serve again that served before.
    Rollback {
        /// The plugin.
        id: String,
    },
    /// Forget an installed version. Refused while a run that has not ended pins it.
    Remove {
        /// The plugin.
        id: String,
        /// The version.
        version: String,
    },
    /// What was installed, activated, rolled back and removed, by whom, and what came of it.
    History {
        /// The plugin.
        id: String,
        /// At most this many entries, the newest.
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },
    /// Let a plugin be called again that is in quarantine; runs that wait for it go on.
    Release {
        /// The plugin.
        id: String,
        /// Only this version.
        version: Option<String>,
    },
    /// Build a plugin's folder and swap the plugin at each change, for its author.
    Watch(WatchPlugin),
    /// Put a component into a registry.
    Push {
        /// The component.
        file: PathBuf,
        /// Where: REGISTRY/NAME[:TAG] [default tag: the plugin's version].
        reference: String,
        /// How the registry is asked.
        #[command(flatten)]
        ask: AskRegistry,
    },
    /// Get a component out of a registry. Nothing of it is run or installed.
    Pull {
        /// Which: REGISTRY/NAME[:TAG][@sha256:DIGEST].
        reference: String,
        /// The file to write [default: ID.wasm].
        #[arg(short = 'o', long = "out", value_name = "FILE")]
        out: Option<PathBuf>,
        /// How the registry is asked.
        #[command(flatten)]
        ask: AskRegistry,
    },
    /// Find plugins in a registry: each repository's newest.
    Search {
        /// Where: REGISTRY[/PREFIX].
        place: String,
        /// Words that have to be in the plugin's reference, id or summary.
        text: Vec<String>,
        /// How the registry is asked.
        #[command(flatten)]
        ask: AskRegistry,
    },
    /// Make a pair of keys: NAME.key, which signs, and NAME.pub, which verifies.
    Keygen {
        /// The files' name, without an ending.
        name: PathBuf,
    },
    /// Sign a plugin in a registry. Signatures are cosign's; several may sign.
    Sign {
        /// Which: REGISTRY/NAME[:TAG][@sha256:DIGEST].
        reference: String,
        /// The private key, as `plugin keygen` makes it.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// How the registry is asked.
        #[command(flatten)]
        ask: AskRegistry,
    },
    /// Say who signed a plugin in a registry, and whether that is who has to have.
    Verify {
        /// Which: REGISTRY/NAME[:TAG][@sha256:DIGEST].
        reference: String,
        /// The public key that has to have signed [default: what the configuration's
        /// registry.sources say].
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// How the registry is asked.
        #[command(flatten)]
        ask: AskRegistry,
    },
}

/// How a registry is asked.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct AskRegistry {
    /// Without TLS: only a registry on this machine (localhost, 127.0.0.0/8, [::1]).
    #[arg(long)]
    pub plain_http: bool,
}

/// The arguments of `plugin new`.
#[derive(Args)]
pub struct NewPlugin {
    /// The plugin's id: lower-case letters, digits and dashes.
    pub name: String,
    /// The world that it exports, such as fixer or workflow-step.
    #[arg(long)]
    pub world: String,
    /// The language that it is written in.
    #[arg(long = "lang", value_name = "LANGUAGE")]
    pub language: String,
    /// The folder to make [default: NAME].
    #[arg(long)]
    pub folder: Option<PathBuf>,
}

/// The arguments of `plugin test`.
#[derive(Args)]
pub struct TestPlugin {
    /// The component.
    pub file: PathBuf,
    /// The plugin's folder, with its own cases in `cases/` [default: the component's folder,
    /// where it holds plugin.toml and cases].
    #[arg(long, value_name = "FOLDER")]
    pub cases: Option<PathBuf>,
}

/// The arguments of `plugin list`.
#[derive(Args)]
pub struct ListPlugins {
    /// Only plugins of this kind, such as fixer.
    #[arg(long)]
    pub kind: Option<String>,
    /// Also the versions that do not serve.
    #[arg(long)]
    pub versions: bool,
}

/// The arguments of `plugin install`.
#[derive(Args)]
pub struct InstallPlugin {
    /// The component.
    pub file: PathBuf,
    /// Let it serve at once.
    #[arg(long)]
    pub activate: bool,
    /// How to decide.
    #[command(flatten)]
    pub decide: Decide,
}

/// How a question about a plugin is answered.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Decide {
    /// Grant what the plugin wants, as its manifest proposes, without asking: for programs.
    #[arg(long)]
    pub grant: bool,
    /// Do not ask where nothing has to be granted.
    #[arg(short, long)]
    pub yes: bool,
}

/// The arguments of `plugin watch`.
#[derive(Args)]
pub struct WatchPlugin {
    /// The folder with plugin.toml.
    pub folder: PathBuf,
    /// Grant what the plugin wants, as its manifest proposes, at each build.
    #[arg(long)]
    pub grant: bool,
    /// How often the folder is looked at.
    #[arg(long, value_name = "DURATION", default_value = "500ms")]
    pub interval: String,
}
