//! The fixer {{name}}: adds a line to the guest's message of the day.

use cofferdam_sdk::{Fixer, Guest, Result};
use serde::Deserialize;

const FILE: &str = "/etc/motd";
/// The most bytes that are read of it; a longer file is an error.
const MOST: u64 = 64 << 10;

/// The fixer.
pub struct {{pascal}};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    line: String,
}

impl Fixer for {{pascal}} {
    fn fix(guest: &mut dyn Guest) -> Result<()> {
        let settings: Settings = guest.settings()?;
        // A guest without the file is none of this plugin's business, and no error.
        if !guest.is_file(FILE)? {
            return Ok(());
        }
        let mut text = guest.read_to_string(FILE, MOST)?;
        // The host runs every fixer again on the result, where it must record nothing.
        if text.lines().any(|line| line == settings.line) {
            return Ok(());
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&settings.line);
        text.push('\n');
        let reason = "whoever logs in learns that the machine has moved";
        guest.write(FILE, text.as_bytes(), reason)
    }
}

cofferdam_sdk::export_fixer!({{pascal}});

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_sdk::testing::{MemoryGuest, run_cases};

    /// Every folder below `cases/`.
    #[test]
    fn cases() {
        run_cases(env!("CARGO_MANIFEST_DIR"), {{pascal}}::fix);
    }

    #[test]
    fn a_file_that_is_no_text_is_an_error() {
        let mut guest = MemoryGuest::new();
        guest.set_settings(serde_json::json!({ "line": "moved" }));
        guest.files.add_file(FILE, b"\xff");
        let error = {{pascal}}::fix(&mut guest).unwrap_err();
        assert!(error.message.contains("UTF-8"), "{error}");
        assert!(guest.edits().is_empty());
    }
}
