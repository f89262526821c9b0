//! `soak`: the tests of `tests/tests/soak/` with many more rounds than `test` has time for.
//!
//! The tests are the same and read the number of rounds from the environment, so that a
//! sample of what soaks is part of every `cargo xtask test`.

use anyhow::Result;

use crate::workspace::{Workspace, run as run_command};
use crate::{build_plugins, seed, setup};

/// The variable with the number of kills; tests take 20 without it.
const KILLS: &str = "COFFERDAM_KILLS";

/// Runs those with `filter` in their name.
pub(crate) fn run(
    workspace: &Workspace,
    given_seed: Option<u64>,
    kills: u32,
    filter: Option<&str>,
) -> Result<()> {
    let seed = seed::choose(given_seed)?;
    setup::run(workspace)?;
    build_plugins::run_all(workspace, false)?;
    let mut soak = workspace.cargo(&["test", "--package", "cofferdam-tests", "--test", "soak"]);
    soak.args(["--", "--nocapture", "--test-threads=1"]);
    if let Some(filter) = filter {
        soak.arg(filter);
    }
    soak.env(KILLS, kills.to_string());
    seed::give(&mut soak, seed);
    run_command(&mut soak)
}
