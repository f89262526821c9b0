//! The contract inside this program, for tools that read it from files.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The contract's packages in the order of their dependencies.
pub const PACKAGES: [(&str, &str); 7] = [
    ("types", include_str!("../../../../../wit/types/types.wit")),
    (
        "runtime",
        include_str!("../../../../../wit/runtime/runtime.wit"),
    ),
    ("reply", include_str!("../../../../../wit/reply/reply.wit")),
    ("disk", include_str!("../../../../../wit/disk/disk.wit")),
    ("guest", include_str!("../../../../../wit/guest/guest.wit")),
    ("tool", include_str!("../../../../../wit/tool/tool.wit")),
    (
        "plugin",
        include_str!("../../../../../wit/plugin/plugin.wit"),
    ),
];

/// Writes the contract into the folder `wit` of `folder`, a folder a package.
pub fn lay_out(folder: &Path) -> Result<PathBuf> {
    let wit = folder.join("wit");
    for (package, text) in PACKAGES {
        let place = wit.join(package);
        std::fs::create_dir_all(&place)
            .and_then(|()| std::fs::write(place.join(format!("{package}.wit")), text))
            .with_context(|| format!("cannot write the contract into {}", place.display()))?;
    }
    Ok(wit)
}
