//! `setup`: installs what is missing, after saying what.

use std::fs;
use std::io::IsTerminal as _;
use std::process::Command;

use anyhow::{Result, bail};
use cofferdam_fixtures::find;

use crate::tools::{self, COMPONENTIZE_PY, SCHEMATHESIS, Tool, ZIG};
use crate::workspace::{self, Workspace, describe, output};

/// Programs that building and testing use, and the Debian packages they come with.
const PROGRAMS: &[(&str, &str)] = &[
    ("cc", "build-essential"),
    ("cpio", "cpio"),
    ("debugfs", "e2fsprogs"),
    ("docker-registry", "docker-registry"),
    ("e2fsck", "e2fsprogs"),
    ("git", "git"),
    ("lz4", "lz4"),
    ("make", "build-essential"),
    ("mke2fs", "e2fsprogs"),
    ("python3", "python3"),
    ("qemu-img", "qemu-utils"),
    ("qemu-io", "qemu-utils"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("strace", "strace"),
    ("unshare", "util-linux"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
];

/// Packages whose presence no program shows.
const FILES: &[(&str, &str)] = &[
    ("/usr/share/seabios/bios-256k.bin", "seabios"),
    ("/usr/lib/ipxe/qemu/efi-virtio.rom", "ipxe-qemu"),
];

/// Tools from PyPI that building and testing use.
const TOOLS: &[&Tool] = &[&COMPONENTIZE_PY, &SCHEMATHESIS, &ZIG];

/// What plugins are compiled for.
const TARGET: &str = "wasm32-wasip2";

/// Installs what is missing; at once when nothing is.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let packages = missing_packages(workspace);
    let target = !has_target(workspace)?;
    let tools = tools::missing(workspace, TOOLS);
    if packages.is_empty() && !target && tools.is_empty() {
        println!("setup: nothing is missing");
        return Ok(());
    }
    println!("setup will install:");
    if !packages.is_empty() {
        println!("  with apt, on this machine: {}", packages.join(" "));
    }
    if target {
        println!("  with rustup: the target {TARGET}");
    }
    for tool in &tools {
        println!(
            "  with pip, into target/tools: {} {}",
            tool.package, tool.version
        );
    }

    install_packages(workspace, &packages)?;
    if target {
        workspace::run(
            workspace
                .outside_cargo("rustup")
                .args(["target", "add", TARGET]),
        )?;
    }
    tools::ensure(workspace, TOOLS)
}

fn missing_packages(workspace: &Workspace) -> Vec<&'static str> {
    let programs = PROGRAMS
        .iter()
        .filter(|(program, _)| find(program).is_none());
    let files = FILES
        .iter()
        .filter(|(file, _)| !fs::exists(file).unwrap_or(false));
    let mut packages: Vec<_> = programs.chain(files).map(|(_, package)| *package).collect();
    // Debian's Python comes without what makes an environment.
    if !workspace.made("tools/bin/pip").is_file() && !has_venv(workspace) {
        packages.push("python3-venv");
    }
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn has_venv(workspace: &Workspace) -> bool {
    output(
        workspace
            .command("python3")
            .args(["-c", "import ensurepip, venv"]),
    )
    .is_ok_and(|output| output.status.success())
}

fn has_target(workspace: &Workspace) -> Result<bool> {
    let sysroot = output(workspace.command("rustc").args(["--print", "sysroot"]))?;
    let sysroot = String::from_utf8_lossy(&sysroot.stdout);
    Ok(std::path::Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(TARGET)
        .is_dir())
}

fn install_packages(workspace: &Workspace, packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        // The fixtures download packages without installing them, and need apt's lists.
        return if has_package_lists() {
            Ok(())
        } else {
            workspace::run(as_root(workspace)?.args(["apt-get", "update", "-q"]))
        };
    }
    if find("apt-get").is_none() {
        bail!(
            "this machine has no apt; install what Debian calls {} by hand",
            packages.join(", ")
        );
    }
    workspace::run(as_root(workspace)?.args(["apt-get", "update", "-q"]))?;
    let mut install = as_root(workspace)?;
    install
        .args([
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "install",
        ])
        // Never at the price of something that the user has: a newer qemu-utils, say.
        .args(["-q", "-y", "--no-install-recommends", "--no-remove"])
        .args(packages);
    workspace::run(&mut install).map_err(|error| {
        error.context(format!(
            "the packages could not be installed; try `{}` by hand to see why",
            describe(&install)
        ))
    })
}

fn has_package_lists() -> bool {
    fs::read_dir("/var/lib/apt/lists").is_ok_and(|mut lists| {
        lists.any(|list| {
            list.is_ok_and(|list| list.file_name().to_string_lossy().contains("_Packages"))
        })
    })
}

/// A command that runs its arguments as root: `env` as root, else sudo.
fn as_root(workspace: &Workspace) -> Result<Command> {
    let id = output(workspace.command("id").arg("-u"))?;
    if id.stdout.trim_ascii() == b"0" {
        return Ok(workspace.command("env"));
    }
    if find("sudo").is_none() {
        bail!(
            "packages must be installed and this user is neither root nor has sudo; \
             run `cargo xtask setup` as root once, or install them by hand"
        );
    }
    let mut sudo = workspace.command("sudo");
    if !std::io::stdin().is_terminal() {
        // Nobody is there to type a password: fail instead of waiting.
        sudo.arg("-n");
    }
    Ok(sudo)
}
