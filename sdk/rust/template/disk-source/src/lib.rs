//! The disk source {{name}}: a machine is a text file `NAME.machine` with a line a disk.

use cofferdam_sdk::source::{DiskSource, Machine, SourceFolder};
use cofferdam_sdk::{Error, Result};
use serde::Deserialize;

const ENDING: &str = ".machine";
/// The most bytes that are read of a list; a longer file is an error.
const MOST: u32 = 64 << 10;

/// The disk source.
pub struct {{pascal}};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    format: String,
}

impl DiskSource for {{pascal}} {
    fn discover(name: &str, folder: &dyn SourceFolder, machine: &mut dyn Machine) -> Result<bool> {
        let settings: Settings = machine.settings()?;
        // What is not its kind of thing is left to other plugins, and no error.
        let Some(title) = name.strip_suffix(ENDING) else {
            return Ok(false);
        };
        let list = String::from_utf8(folder.read(name, MOST)?)
            .map_err(|_| Error::invalid(format!("{name} is no UTF-8 text")))?;
        let mut disks = 0;
        for disk in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
            // An error here means that it is its kind of thing, and broken.
            folder
                .stat(disk)
                .map_err(|error| error.context(format!("{name} lists {disk}")))?;
            machine.add_disk(disk, &settings.format)?;
            disks += 1;
        }
        if disks == 0 {
            return Err(Error::invalid(format!("{name} lists no disk")));
        }
        machine.set_name(title)?;
        Ok(true)
    }
}

cofferdam_sdk::export_disk_source!({{pascal}});

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_sdk::testing::run_source_cases;

    /// Every folder below `cases/`.
    #[test]
    fn cases() {
        run_source_cases(env!("CARGO_MANIFEST_DIR"), {{pascal}}::discover);
    }
}
