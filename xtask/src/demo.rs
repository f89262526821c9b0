//! `demo`: a disk born on VMware is shown not to boot on virtio, migrated, and shown to boot.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use cofferdam_fixtures::{Boot, Fixtures, Format, Hardware, Outcome, Report, Variant};

use crate::workspace::{Workspace, run as run_command};
use crate::{build_plugins, setup};

/// Words of the console's lines that are worth showing; a boot has hundreds.
const TELLING: &[&str] = &[
    "Booting `",
    "Command line:",
    "Waiting for root file system",
    "ALERT!",
    "EXT4-fs (",
    "Kernel panic",
    "COFFERDAM-BOOT-OK",
];

/// Runs it all.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    setup::run(workspace)?;
    build_plugins::run_all(workspace, false)?;
    let built = Instant::now();

    let folder = workspace.made("demo");
    let out = folder.join("out");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    heading("A guest born on VMware");
    let guest = folder.join("guest.vmdk");
    let fixtures = Fixtures::open()?;
    fs::copy(
        fixtures.disk(Variant::Bootable, Format::VmdkStreamOptimized)?,
        &guest,
    )
    .with_context(|| format!("cannot write {}", guest.display()))?;
    println!(
        "{}: Debian 12, kernel {}, with VMware's disk driver only",
        workspace.show(&guest),
        fixtures.kernel()
    );

    heading("On KVM's virtual hardware it does not boot");
    let before = boot(&guest, &folder.join("before.log"))?;
    if !matches!(before.outcome, Outcome::InitramfsShell(_)) {
        bail!(
            "expected it to end in the initramfs's shell, but: {:?}",
            before.outcome
        );
    }

    heading("Migrate it");
    let started = Instant::now();
    run_command(
        workspace
            .command(workspace.cofferdam())
            .env("COFFERDAM_PLUGINS", workspace.made("plugins"))
            .env("COFFERDAM_STATE", folder.join("state"))
            .arg("migrate")
            .arg(&guest)
            .args(["--to", "qcow2", "--yes", "-o"])
            .arg(&out),
    )?;
    let migration = started.elapsed();
    let migrated = only_qcow2(&out)?;

    heading("Now it does");
    let after = boot(&migrated, &folder.join("after.log"))?;
    let Outcome::Booted(marker) = &after.outcome else {
        bail!("the migrated disk did not boot: {:?}", after.outcome);
    };
    if marker.fstab != marker.root {
        bail!(
            "it booted from {}, but its fstab leads to {}",
            marker.root,
            marker.fstab
        );
    }

    heading("What was shown");
    println!(
        "  before     stopped in the initramfs after {}",
        seconds(before.elapsed)
    );
    println!(
        "  migration  {}, report in {}",
        seconds(migration),
        workspace.show(&out.join("report.md"))
    );
    println!(
        "  after      booted from {} in {}",
        marker.root,
        seconds(after.elapsed)
    );
    println!("  disk       {}", workspace.show(&migrated));
    println!(
        "  consoles   {}/before.log and after.log",
        workspace.show(&folder)
    );
    println!("  time       {} after building", seconds(built.elapsed()));
    Ok(())
}

fn heading(text: &str) {
    println!("\n== {text}");
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Boots on virtio and shows the telling lines as they come.
fn boot(disk: &Path, log: &Path) -> Result<Report> {
    let mut show = |line: &str| {
        // From the telling words on: before them may be what clears a terminal.
        let start = TELLING.iter().find_map(|words| line.find(words));
        if let Some(telling) = start.and_then(|start| line.get(start..)) {
            println!("  | {}", telling.trim_end());
        }
    };
    Ok(Boot::new(disk, Hardware::Virtio)
        .log(log)
        .on_line(&mut show)
        .run()?)
}

/// The one disk that the migration made.
fn only_qcow2(folder: &Path) -> Result<PathBuf> {
    let mut disks: Vec<_> = fs::read_dir(folder)
        .with_context(|| format!("the migration left no {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "qcow2")
        })
        .collect();
    match (disks.pop(), disks.is_empty()) {
        (Some(disk), true) => Ok(disk),
        _ => bail!("expected one qcow2 file in {}", folder.display()),
    }
}
