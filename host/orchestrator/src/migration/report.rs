//! What a migration did: `report.json` for programs, `report.md` for people.

use super::plan::Plan;
use crate::MigrateError;
use cofferdam_contract::types::Severity;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A new disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewDisk {
    /// Its file in the output folder.
    pub file: String,
    /// Its format.
    pub format: String,
    /// Size of the disk in bytes.
    pub virtual_size: u64,
    /// Length of the file in bytes.
    pub file_size: u64,
}

/// The report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The new disks in order.
    pub disks: Vec<NewDisk>,
    /// Milliseconds per stage.
    pub timings: BTreeMap<String, u64>,
    /// The plan that was applied.
    pub plan: Plan,
}

impl Report {
    /// As JSON.
    ///
    /// # Errors
    /// [`MigrateError::Host`].
    pub fn json(&self) -> Result<Vec<u8>, MigrateError> {
        serde_json::to_vec_pretty(self).map_err(|error| MigrateError::Host(error.to_string()))
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.render(&mut text);
        text
    }

    fn render(&self, out: &mut String) -> std::fmt::Result {
        let plan = &self.plan;
        writeln!(out, "# Migration of {}\n", plan.machine.name)?;
        writeln!(
            out,
            "{} from `{}`.\n",
            plan.guest.operating_system.name,
            plan.sources()
                .iter()
                .map(|source| source.display().to_string())
                .collect::<Vec<_>>()
                .join("`, `")
        )?;
        writeln!(out, "## New disks\n")?;
        writeln!(
            out,
            "| file | format | size of the disk | size of the file |"
        )?;
        writeln!(out, "|---|---|---|---|")?;
        for disk in &self.disks {
            writeln!(
                out,
                "| `{}` | {} | {} | {} |",
                disk.file, disk.format, disk.virtual_size, disk.file_size
            )?;
        }
        writeln!(out, "\n## Notes\n")?;
        if plan.notes.is_empty() {
            writeln!(out, "None.")?;
        }
        for note in &plan.notes {
            let severity = match note.severity {
                Severity::Info => "info",
                Severity::Warn => "warning",
                Severity::Block => "blocked",
            };
            writeln!(out, "- {severity}: {note}")?;
        }
        writeln!(out, "\n## Edits\n")?;
        writeln!(out, "Digest of edits and result: `{}`\n", plan.edits_digest)?;
        for change in &plan.changes {
            writeln!(out, "### `{}`\n", change.path)?;
            for number in &change.edits {
                if let Some(edit) = plan.edits.get(*number) {
                    let digest = |file: &Option<crate::guest::change::FileDigest>| {
                        file.as_ref().map_or_else(
                            || "none".to_owned(),
                            |file| format!("`{}` ({} bytes)", file.sha256, file.size),
                        )
                    };
                    writeln!(
                        out,
                        "- {} by {}: {}\n  - before: {}\n  - after: {}",
                        edit.operation,
                        edit.fixer,
                        edit.reason,
                        digest(&edit.before),
                        digest(&edit.after)
                    )?;
                }
            }
            if let Some(summary) = &change.summary {
                writeln!(out, "\n{summary}")?;
            }
            if let Some(diff) = &change.diff {
                writeln!(out, "\n```diff\n{}```", ending_in_newline(diff))?;
            }
            writeln!(out)?;
        }
        writeln!(out, "## Source\n")?;
        for file in &plan.binding.source {
            writeln!(
                out,
                "- `{}`, {} bytes, sha256 `{}`",
                file.name, file.size, file.sha256
            )?;
        }
        writeln!(out, "\n## Plugins\n")?;
        for plugin in &plan.binding.plugins {
            writeln!(
                out,
                "- {} {}, sha256 `{}`",
                plugin.id, plugin.version, plugin.digest
            )?;
        }
        writeln!(out, "\n## Timings\n")?;
        for (stage, milliseconds) in &self.timings {
            writeln!(out, "- {stage}: {milliseconds} ms")?;
        }
        Ok(())
    }
}

fn ending_in_newline(text: &str) -> String {
    if text.ends_with('\n') {
        text.to_owned()
    } else {
        format!("{text}\n")
    }
}

/// Writes a file so that it is there whole or not at all.
///
/// # Errors
/// [`MigrateError::File`].
pub fn write_whole(file: &Path, bytes: &[u8]) -> Result<(), MigrateError> {
    let failed = |source| MigrateError::File {
        what: "cannot write",
        path: file.display().to_string(),
        source,
    };
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // A report is as readable as any other new file; the user's mask applies.
    let mut part = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(failed)?;
    part.write_all(bytes).map_err(failed)?;
    part.as_file().sync_all().map_err(failed)?;
    part.persist(file).map_err(|error| failed(error.error))?;
    Ok(())
}
