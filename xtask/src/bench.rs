//! `bench`: the programs that docs/benchmarks.md quotes.

use anyhow::{Result, bail};

use crate::workspace::{Workspace, run as run_command};
use crate::{build_plugins, setup};

/// A benchmark: an example of a package, run in release mode.
struct Bench {
    name: &'static str,
    measures: &'static str,
    package: &'static str,
    example: &'static str,
}

/// All of them. A new one is an example of its crate and a line here.
const BENCHES: &[Bench] = &[Bench {
    name: "convert",
    measures: "conversion between disk formats against qemu-img with its best flags",
    package: "cofferdam-disk",
    example: "bench_convert",
}];

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
    build_plugins::run_all(workspace, false)?;
    for bench in chosen {
        println!("\n== {}: {}", bench.name, bench.measures);
        run_command(&mut workspace.cargo(&[
            "run",
            "--release",
            "--package",
            bench.package,
            "--example",
            bench.example,
        ]))?;
    }
    Ok(())
}
