//! `bench`: the measurements that docs/benchmarks.md quotes, in the release profile.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, bail};
use cofferdam_fixtures::{Fixtures, Format, Variant};

use crate::workspace::{Workspace, run as run_command};
use crate::{build_plugins, setup};

/// Rounds of which medians are shown.
const ROUNDS: usize = 5;

/// The test that prints what a plugin notices of attacks beside it.
const NEIGHBOUR: &str = "every_attack_ends_as_it_must_and_nothing_is_left_of_it";

/// One measurement.
struct Bench {
    name: &'static str,
    measures: &'static str,
    run: fn(&Workspace) -> Result<()>,
}

/// All of them. A new one is a function and an entry here.
const BENCHES: &[Bench] = &[
    Bench {
        name: "convert",
        measures: "conversion between disk formats against qemu-img with its best flags",
        run: convert,
    },
    Bench {
        name: "boundary",
        measures: "device reads through the sandbox against bare wasmtime and memcpy",
        run: boundary,
    },
    Bench {
        name: "migrate",
        measures: "the stages of migrating the demo's guest",
        run: migrate,
    },
    Bench {
        name: "runs",
        measures: "steps with their journal, effects, many runs, events, recovery, memory",
        run: runs,
    },
    Bench {
        name: "runtime",
        measures: "calls against bare wasmtime and processes, limits, memory, start, swap, neighbours",
        run: runtime,
    },
    Bench {
        name: "api",
        measures: "requests a second at a real serve, and how long one takes",
        run: api,
    },
];

/// Runs those with `filter` in their name.
pub(crate) fn run(workspace: &Workspace, filter: Option<&str>) -> Result<()> {
    let chosen: Vec<_> = BENCHES
        .iter()
        .filter(|bench| filter.is_none_or(|filter| bench.name.contains(filter)))
        .collect();
    if chosen.is_empty() {
        let names: Vec<_> = BENCHES.iter().map(|bench| bench.name).collect();
        bail!("no such benchmark; there are: {}", names.join(", "));
    }
    setup::run(workspace)?;
    for bench in chosen {
        println!("\n== {}: {}", bench.name, bench.measures);
        (bench.run)(workspace)?;
    }
    Ok(())
}

fn convert(workspace: &Workspace) -> Result<()> {
    let data = workspace.made("bench");
    fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
    run_command(
        workspace
            .cargo(&["run", "--release", "--package", "cofferdam-disk"])
            .args(["--example", "bench_convert", "--"])
            .arg(&data),
    )
}

fn boundary(workspace: &Workspace) -> Result<()> {
    // Both packages are named so that features are those of a release build of the host.
    run_command(&mut workspace.cargo(&[
        "bench",
        "--package",
        "cofferdam-runtime",
        "--package",
        "cofferdam-capabilities",
        "--bench",
        "boundary",
    ]))
}

fn runs(workspace: &Workspace) -> Result<()> {
    let package = ["bench", "--package", "cofferdam-tests", "--bench", "runs"];
    run_command(&mut workspace.cargo(&package))
}

fn api(workspace: &Workspace) -> Result<()> {
    build_plugins::run_all(workspace, false)?;
    run_command(&mut workspace.cargo(&["build", "--release", "--package", "cofferdam"]))?;
    let package = ["bench", "--package", "cofferdam-tests", "--bench", "api"];
    run_command(
        workspace
            .cargo(&package)
            .env("COFFERDAM_BIN", workspace.released("cofferdam")),
    )
}

fn runtime(workspace: &Workspace) -> Result<()> {
    build_plugins::run_all(workspace, false)?;
    run_command(&mut workspace.cargo(&["build", "--release", "--package", "cofferdam"]))?;
    let package = [
        "bench",
        "--package",
        "cofferdam-tests",
        "--bench",
        "runtime",
    ];
    run_command(
        workspace
            .cargo(&package)
            .env("COFFERDAM_BIN", workspace.released("cofferdam"))
            .env("COFFERDAM_PLUGINS", workspace.made("plugins")),
    )?;
    let neighbour = ["test", "--release", "--package", "cofferdam-tests"];
    run_command(workspace.cargo(&neighbour).args([
        "--test",
        "hostile",
        NEIGHBOUR,
        "--",
        "--nocapture",
    ]))
}

fn migrate(workspace: &Workspace) -> Result<()> {
    build_plugins::run_all(workspace, false)?;
    run_command(&mut workspace.cargo(&["build", "--release", "--package", "cofferdam"]))?;
    let fixtures = Fixtures::open()?;
    let guest = fixtures.disk(Variant::Bootable, Format::VmdkStreamOptimized)?;
    let folder = workspace.made("bench");
    let mut rounds: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    // The first run compiles the plugins into the cache and is not counted.
    for round in 0..=ROUNDS {
        let out = folder.join("migrated");
        let _ = fs::remove_dir_all(&out);
        fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
        let status = workspace
            .command(workspace.released("cofferdam"))
            .env("COFFERDAM_PLUGINS", workspace.made("plugins"))
            .args(["migrate", "--yes", "--output", "json", "-o"])
            .arg(&out)
            .arg(&guest)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()?;
        if !status.success() {
            bail!("the migration failed: {status}");
        }
        if round == 0 {
            continue;
        }
        let report = fs::read(out.join("report.json"))?;
        let report: serde_json::Value = serde_json::from_slice(&report)?;
        let timings = report
            .get("timings")
            .and_then(serde_json::Value::as_object)
            .context("the report has no timings")?;
        for (stage, milliseconds) in timings {
            rounds
                .entry(stage.clone())
                .or_default()
                .extend(milliseconds.as_u64());
        }
    }
    println!("medians of {ROUNDS} runs:");
    for (stage, mut milliseconds) in rounds {
        milliseconds.sort_unstable();
        if let Some(median) = milliseconds.get(milliseconds.len() / 2) {
            println!("  {stage:<10} {median:>6} ms");
        }
    }
    Ok(())
}
