//! `soak`: the tests of `tests/tests/soak/` and the hostile guests with many more rounds than
//! `test` has time for.
//!
//! The tests are the same and read the number of rounds from the environment, so that a
//! sample of what soaks is part of every `cargo xtask test`.

use anyhow::Result;

use crate::workspace::{Workspace, run as run_command};
use crate::{build_plugins, seed, setup};

/// The variable with the number of kills; tests take 20 without it.
const KILLS: &str = "COFFERDAM_KILLS";

/// The test that runs every hostile guest beside a neighbour, and the variable with how often
/// it does; with it, it also asserts how long the neighbour waits.
const SIEGE: &str = "every_attack_ends_as_it_must_and_nothing_is_left_of_it";
const ROUNDS: &str = "COFFERDAM_ROUNDS";

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
    // Of the whole workspace, as `test` builds it: another choice of packages is another choice
    // of features, and compiles the compiler again. The program is no part of the tests'.
    run_command(&mut workspace.cargo(&["build", "--workspace"]))?;
    let mut soak = workspace.cargo(&["test", "--workspace", "--test", "soak"]);
    soak.args(["--", "--nocapture", "--test-threads=1"]);
    if let Some(filter) = filter {
        soak.arg(filter);
    }
    soak.env(KILLS, kills.to_string());
    seed::give(&mut soak, seed);
    run_command(&mut soak)?;
    if filter.is_some_and(|filter| !SIEGE.contains(filter)) {
        return Ok(());
    }
    // Its times are those of the program that people run, not of a debug build.
    let package = ["test", "--release", "--package", "cofferdam-tests"];
    let mut siege = workspace.cargo(&package);
    siege.args(["--test", "hostile", "--", "--nocapture", SIEGE]);
    siege.env(ROUNDS, "3");
    run_command(&mut siege)
}
