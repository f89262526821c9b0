//! `test`: builds everything, runs every test, fuzzes shortly, and counts.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use cofferdam_fixtures::{Fixtures, Format, Variant};

use crate::workspace::{Workspace, describe, in_ci};
use crate::{build_plugins, fuzz, seed, setup};

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

/// Runs everything. The last line printed is `N passed, N failed`; a fuzz target counts as
/// one test, and so does a build that failed.
pub(crate) fn run(workspace: &Workspace, fuzz_seconds: u32) -> Result<()> {
    let mut counts = Counts::default();
    let ran = prepare(workspace)
        .and_then(|()| run_tests(workspace, &mut counts))
        .and_then(|()| run_fuzz(workspace, fuzz_seconds, &mut counts));
    if let Err(error) = &ran {
        eprintln!("error: {error:#}");
        counts.failed = counts.failed.max(1);
    }
    println!("{} passed, {} failed", counts.passed, counts.failed);
    if counts.failed > 0 {
        std::process::exit(1);
    }
    Ok(())
}

fn prepare(workspace: &Workspace) -> Result<()> {
    setup::run(workspace)?;
    build_plugins::run_all(workspace, false)?;
    println!("preparing the fixtures");
    match Fixtures::open() {
        Ok(fixtures) => drop(fixtures.disk(Variant::Bootable, Format::Raw)?),
        // Tests that need them say so themselves.
        Err(error) if !in_ci() => println!("no fixtures: {error}"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// How many failed tests are run once more. Where more fail, it is not by chance.
const REPEATED: usize = 3;

/// What the tests said.
#[derive(Debug, Default)]
struct Heard {
    counts: Counts,
    /// The names of those that failed.
    failed: Vec<String>,
}

/// Runs every test. A few that fail are run once more by themselves: what passes then is a test
/// that disturbs another, or a race, which is said loudly and is a fault to mend, but does not
/// make the change that happens to be tested wrong.
fn run_tests(workspace: &Workspace, counts: &mut Counts) -> Result<()> {
    let seed = seed::choose(None)?;
    let first = listen(workspace, seed, &[])?;
    counts.passed += first.counts.passed;
    counts.failed += first.counts.failed;
    if !is_worth_repeating(&first) {
        return Ok(());
    }
    println!(
        "\nrunning what failed once more: {}",
        first.failed.join(", ")
    );
    let again = listen(workspace, seed, &first.failed)?;
    if again.counts.failed == 0 && again.counts.passed >= first.counts.failed {
        for name in &first.failed {
            println!("UNSTABLE: {name} failed once and passed by itself; mend it");
        }
        counts.passed += first.counts.failed;
        counts.failed -= first.counts.failed;
    }
    Ok(())
}

fn is_worth_repeating(first: &Heard) -> bool {
    // A test binary that crashed names nobody.
    let named = u64::try_from(first.failed.len()) == Ok(first.counts.failed);
    named && (1..=REPEATED).contains(&first.failed.len())
}

/// Runs the tests of these names one after another, or all where none is named, passes on what
/// they print and listens to it.
fn listen(workspace: &Workspace, seed: u64, names: &[String]) -> Result<Heard> {
    let mut test = workspace.cargo(&["test", "--workspace", "--no-fail-fast"]);
    if !names.is_empty() {
        test.args(["--tests", "--", "--exact", "--test-threads=1"])
            .args(names);
    }
    seed::give(&mut test, seed);
    let mut heard = Heard::default();
    let mut child = test
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", describe(&test)))?;
    let pipe = child.stdout.take().context("cargo has no output")?;
    let mut out = std::io::stdout();
    for line in BufReader::new(pipe).split(b'\n') {
        let line = line?;
        out.write_all(&line)?;
        out.write_all(b"\n")?;
        let line = String::from_utf8_lossy(&line);
        if let Some(more) = parse(&line) {
            heard.counts.passed += more.passed;
            heard.counts.failed += more.failed;
        }
        heard.failed.extend(failed(&line).map(str::to_owned));
    }
    let status = child.wait()?;
    if !status.success() && heard.counts.failed == 0 {
        bail!("cargo test failed ({status}) without a failed test: something does not build");
    }
    Ok(heard)
}

/// The name of the test that this line says failed.
fn failed(line: &str) -> Option<&str> {
    let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
    Some(name.strip_suffix(" - should panic").unwrap_or(name))
}

/// The counts of a line with which libtest ends a binary's tests.
fn parse(line: &str) -> Option<Counts> {
    let (_, result) = line.split_once("test result: ")?;
    let number = |what: &str| {
        let (before, _) = result.split_once(what)?;
        before.split_whitespace().next_back()?.parse().ok()
    };
    Some(Counts {
        passed: number(" passed;")?,
        failed: number(" failed;")?,
    })
}

fn run_fuzz(workspace: &Workspace, seconds: u32, counts: &mut Counts) -> Result<()> {
    let targets = fuzz::targets(workspace)?;
    if seconds == 0 || targets.is_empty() {
        return Ok(());
    }
    if let Err(error) = fuzz::prepare(workspace) {
        if in_ci() {
            return Err(error.context("cargo-fuzz cannot be had"));
        }
        println!("skipped fuzzing: {error:#}");
        return Ok(());
    }
    for target in targets {
        match fuzz::one(workspace, &target, seconds) {
            Ok(()) => counts.passed += 1,
            Err(error) => {
                eprintln!("error: {error:#}");
                counts.failed += 1;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_failed_tests_are_heard() {
        for (line, expected) in [
            ("test kill::at_a_stage ... FAILED", Some("kill::at_a_stage")),
            ("test bounds - should panic ... FAILED", Some("bounds")),
            ("test kill::at_a_stage ... ok", None),
            ("test result: FAILED. 5 passed; 2 failed;", None),
            ("FAILED", None),
        ] {
            assert_eq!(failed(line), expected, "{line}");
        }
    }

    #[test]
    fn a_few_failures_that_have_names_are_repeated() {
        for (failed, named, repeated) in [
            (0, 0, false),
            (1, 1, true),
            (REPEATED, REPEATED, true),
            (REPEATED + 1, REPEATED + 1, false),
            (2, 1, false),
        ] {
            let heard = Heard {
                counts: Counts {
                    passed: 1000,
                    failed: u64::try_from(failed).unwrap(),
                },
                failed: vec![String::from("name"); named],
            };
            assert_eq!(is_worth_repeating(&heard), repeated, "{heard:?}");
        }
    }

    #[test]
    fn result_lines_are_counted_and_others_are_not() {
        for (line, expected) in [
            (
                "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
                Some((12, 0)),
            ),
            (
                "test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
                Some((5, 2)),
            ),
            ("test result: nonsense", None),
            ("test parses_3_passed; ... ok", None),
            ("", None),
        ] {
            let expected = expected.map(|(passed, failed)| Counts { passed, failed });
            assert_eq!(parse(line), expected, "{line}");
        }
    }
}
