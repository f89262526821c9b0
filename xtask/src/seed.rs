//! The seed of what tests choose at random: printed, so that a failure can be repeated.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

/// The variable that tests read.
const VARIABLE: &str = "COFFERDAM_SEED";

/// The seed given, else that of the environment, else the clock's.
pub(crate) fn choose(given: Option<u64>) -> Result<u64> {
    if let Some(seed) = given {
        return Ok(seed);
    }
    if let Ok(text) = std::env::var(VARIABLE) {
        return text
            .parse()
            .with_context(|| format!("{VARIABLE} is {text:?}, which is no number"));
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(since.as_secs())
}

/// Gives the seed to what `command` runs, and says so.
pub(crate) fn give(command: &mut Command, seed: u64) {
    println!("seed {seed}: set {VARIABLE}={seed} to repeat what is random");
    command.env(VARIABLE, seed.to_string());
}
