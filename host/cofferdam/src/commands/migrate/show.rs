//! What people see of a migration.

use crate::render::{bytes, safe, sayln};
use cofferdam_contract::types::Severity;
use cofferdam_orchestrator::migration::{Plan, Report};
use std::path::Path;

/// Prints a plan for people.
pub fn plan(plan: &Plan) {
    for (number, source) in plan.sources().iter().enumerate() {
        let label = if number == 0 { "source:" } else { "" };
        sayln!("{label:<8} {}", safe(&source.display().to_string()));
    }
    for file in &plan.binding.source {
        sayln!(
            "         {} ({} bytes, sha256 {})",
            safe(&file.name),
            file.size,
            file.sha256
        );
    }
    let os = &plan.guest.operating_system;
    sayln!("guest:   {} {}", safe(&os.name), safe(&os.architecture));
    for kernel in &plan.guest.kernels {
        sayln!("         kernel {}", safe(&kernel.version));
    }
    sayln!(
        "target:  {} on {}",
        plan.disk_names().join(", "),
        plan.binding.target.disk_bus
    );
    if !plan.notes.is_empty() {
        sayln!("\nnotes:");
    }
    for note in &plan.notes {
        let severity = match note.severity {
            Severity::Info => "info",
            Severity::Warn => "warning",
            Severity::Block => "blocked",
        };
        sayln!("  {severity}: {}", safe(&note.to_string()));
    }
    sayln!("\n{} edits, rehearsed on an overlay:", plan.edits.len());
    for change in &plan.changes {
        sayln!("\n{}", console::style(safe(&change.path)).bold());
        for edit in change.edits.iter().filter_map(|n| plan.edits.get(*n)) {
            sayln!("  {}: {}", edit.fixer, safe(&edit.reason));
        }
        if let Some(summary) = &change.summary {
            sayln!("  {}", safe(summary));
        }
        for line in change.diff.iter().flat_map(|diff| diff.lines()) {
            let line = safe(line);
            let styled = match line.chars().next() {
                Some('+') => console::style(line).green(),
                Some('-') => console::style(line).red(),
                Some('@') => console::style(line).cyan(),
                _ => console::style(line),
            };
            sayln!("    {styled}");
        }
    }
    sayln!("\ndigest of edits and result: {}", plan.edits_digest);
}

/// Prints what was made, for people.
pub fn report(report: &Report, out: &Path) {
    sayln!();
    for disk in &report.disks {
        sayln!(
            "{}: {} of disk in {} of file",
            out.join(&disk.file).display(),
            bytes(disk.virtual_size),
            bytes(disk.file_size)
        );
    }
    sayln!("report: {}", out.join("report.md").display());
}
