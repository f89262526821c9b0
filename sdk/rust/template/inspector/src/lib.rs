//! The inspector {{name}}: a system that has the file `/etc/{{name}}-release` with its version.

use cofferdam_sdk::types::{MountPoint, OperatingSystem};
use cofferdam_sdk::{FileTree, Inspector, Result, Trees};
use serde::Deserialize;

const FILE: &str = "/etc/{{name}}-release";
/// The most bytes that are read of it; a longer file is an error.
const MOST: u64 = 4 << 10;

/// The inspector.
pub struct {{pascal}};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    architecture: String,
}

impl Inspector for {{pascal}} {
    fn inspect(guest: &mut dyn Trees) -> Result<()> {
        let settings: Settings = guest.settings()?;
        for tree in guest.trees() {
            let files = guest.tree(tree.index);
            if !files.is_file(FILE)? {
                continue;
            }
            let version = files.read_to_string(FILE, MOST)?.trim().to_owned();
            guest.set_operating_system(&OperatingSystem {
                kind: "linux".to_owned(),
                distribution: "{{name}}".to_owned(),
                name: format!("{{pascal}} {version}"),
                version,
                architecture: settings.architecture,
            })?;
            return guest.add_mount(&MountPoint {
                path: "/".to_owned(),
                device: tree.device,
                options: String::new(),
            });
        }
        // A guest that is not of its kind gets no record, and is no error.
        Ok(())
    }
}

cofferdam_sdk::export_inspector!({{pascal}});

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_sdk::testing::run_inspector_cases;

    /// Every folder below `cases/`.
    #[test]
    fn cases() {
        run_inspector_cases(env!("CARGO_MANIFEST_DIR"), {{pascal}}::inspect);
    }
}
