//! Boots a disk in QEMU and passes only where the guest itself says that it is up.
//!
//! **Problem.** That a disk was converted and its guest was fixed proves nothing: whether
//! it boots on virtio hardware is known when it has.
//!
//! **Design.** QEMU runs as a granted program under emulation (TCG), which every machine
//! can do, with the disk on a virtio bus and `snapshot=on`, so that what the guest writes
//! goes to a temporary file and the disk stays as it is. The host watches the serial
//! console and stops QEMU at the first expression that is found: the marker or a login
//! prompt, or one of the ends that a boot does not come back from ([`console`]). Which
//! it was decides.
//!
//! **Limits.** The guest has to print to its first serial port. UEFI guests are refused: the
//! firmware is a file of the host, and the only file that QEMU is given is the disk.

mod console;
mod machine;

use cofferdam_sdk::console::excerpt;
use cofferdam_sdk::step::{ARTIFACT, StepPlan, ToolOutcome};
use cofferdam_sdk::{Context, Error, Result, StepHost, TimeSpan, WorkflowStep};
use serde::{Deserialize, Serialize};
use std::time::Duration;

use console::{DEAD_ENDS, LOGIN_PROMPT};

/// The longest boot: the host's limit for a call is an hour, and the outcome has to come
/// back within it.
const MOST_TIME: Duration = Duration::from_secs(59 * 60);

/// Least and most memory of the machine, MiB.
const MEMORY: std::ops::RangeInclusive<u32> = 128..=16_384;

/// The step.
pub struct BootTest;

/// What a workflow gives the step.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Input {
    /// The artifact to boot.
    disk: String,
    /// Its format.
    format: Format,
    /// Memory of the machine, MiB.
    #[serde(default = "default_memory")]
    memory: u32,
    /// The machine's firmware.
    #[serde(default)]
    firmware: Firmware,
    /// Where the disk is attached.
    #[serde(default)]
    bus: Bus,
    /// What has to be printed, instead of a login prompt.
    #[serde(default)]
    marker: Option<String>,
    /// How long it may take.
    #[serde(default = "default_timeout")]
    timeout: TimeSpan,
    /// Whether there is a network card, with nothing behind it.
    #[serde(default)]
    network: bool,
}

/// A format that names no other files by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Format {
    Raw,
    Qcow2,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Firmware {
    #[default]
    Bios,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Bus {
    #[default]
    VirtioBlk,
    VirtioScsi,
}

fn default_memory() -> u32 {
    1024
}

fn default_timeout() -> TimeSpan {
    TimeSpan(Duration::from_secs(300))
}

/// What later steps can refer to.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// What the guest was known by: `marker` or `login-prompt`.
    seen: String,
    /// The last lines of the console.
    console: String,
}

impl Input {
    /// What makes the test pass, for people.
    fn awaited(&self) -> String {
        match &self.marker {
            Some(marker) => format!("the marker `{marker}`"),
            None => "a login prompt".to_owned(),
        }
    }

    /// The expressions that end the boot: the good one, then the bad ones.
    fn ends(&self) -> Vec<String> {
        let good = self.marker.as_deref().unwrap_or(LOGIN_PROMPT);
        let bad = DEAD_ENDS.iter().map(|end| end.expression);
        std::iter::once(good)
            .chain(bad)
            .map(str::to_owned)
            .collect()
    }
}

/// What came of the boot.
fn judge(input: &Input, outcome: &ToolOutcome) -> Result<Output> {
    let console = excerpt(console::of_guest(&outcome.tail));
    let failed = |code: fn(String) -> Error, what: String| {
        let said = if console.is_empty() {
            "the console showed nothing".to_owned()
        } else {
            format!("the console's last lines:\n{console}")
        };
        Err(code(format!(
            "{} does not boot: {what}; {said}",
            input.disk
        )))
    };
    if let Some(matched) = outcome.matched {
        let dead_end = usize::try_from(matched)
            .ok()
            .and_then(|index| index.checked_sub(1));
        let Some(index) = dead_end else {
            let seen = input.marker.as_ref().map_or("login-prompt", |_| "marker");
            return Ok(Output {
                seen: seen.to_owned(),
                console,
            });
        };
        let what = DEAD_ENDS
            .get(index)
            .map_or("it came to an end that is not known", |end| end.meaning);
        return failed(Error::other, what.to_owned());
    }
    if outcome.timed_out {
        let (awaited, timeout) = (input.awaited(), input.timeout);
        return failed(
            Error::timeout,
            format!(
                "{awaited} did not come in time ({timeout}, or what the grant allows where that is less)"
            ),
        );
    }
    let awaited = input.awaited();
    let how = match (outcome.exit, outcome.signal) {
        (Some(0), _) => format!("the guest switched off or restarted before {awaited} came"),
        (Some(exit), _) => format!("QEMU ended with {exit} before {awaited} came"),
        (None, Some(signal)) => format!("QEMU was ended by signal {signal} before {awaited} came"),
        (None, None) => format!("QEMU ended before {awaited} came"),
    };
    failed(Error::other, how)
}

impl WorkflowStep for BootTest {
    type Input = Input;
    type Output = Output;

    fn validate(_: &dyn Context, input: &Input) -> Result<()> {
        if !input.disk.starts_with(ARTIFACT) {
            return Err(Error::invalid(format!(
                "`disk` is {:?}, and has to be an artifact of the run",
                input.disk
            ))
            .with_hint(
                "declare an input of the type file and write ${{ inputs.NAME }}, or refer to an earlier step's output",
            ));
        }
        if !MEMORY.contains(&input.memory) {
            return Err(Error::invalid(format!(
                "`memory` is {} MiB, and has to be between {} and {}",
                input.memory,
                MEMORY.start(),
                MEMORY.end()
            )));
        }
        if input.timeout.0 < Duration::from_secs(1) || input.timeout.0 > MOST_TIME {
            return Err(Error::invalid(format!(
                "`timeout` is {}, and has to be between 1s and {}",
                input.timeout,
                TimeSpan(MOST_TIME)
            )));
        }
        if input
            .marker
            .as_ref()
            .is_some_and(|marker| marker.trim().is_empty())
        {
            return Err(Error::invalid(
                "`marker` is empty, so that every boot would pass; leave it out to wait for a login prompt",
            ));
        }
        Ok(())
    }

    fn plan(_: &dyn Context, input: &Input) -> Result<StepPlan> {
        let summary = format!(
            "Boots {} without changing it and waits at most {} for {}",
            input.disk,
            input.timeout,
            input.awaited()
        );
        let command = machine::request(input).command_line();
        Ok(StepPlan::new(summary).change("run", machine::PROGRAM, command))
    }

    fn execute(host: &mut impl StepHost, input: Input) -> Result<Output> {
        let outcome = host.run(&machine::request(&input))?;
        judge(&input, &outcome)
    }
}

cofferdam_sdk::export_workflow_step!(BootTest);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        cofferdam_sdk::testing::run_step_cases::<BootTest>(env!("CARGO_MANIFEST_DIR"));
    }

    #[test]
    fn every_end_has_its_verdict_and_only_the_first_passes() {
        let input: Input =
            serde_json::from_str(r#"{"disk":"artifact:inputs/disk","format":"raw"}"#).unwrap();
        let ends = input.ends();
        assert_eq!(ends.len(), DEAD_ENDS.len() + 1);
        assert!(ends.len() <= 16, "the most that the contract allows");
        for matched in 0..ends.len() + 2 {
            let outcome = ToolOutcome {
                matched: Some(u32::try_from(matched).unwrap()),
                ..ToolOutcome::default()
            };
            assert_eq!(judge(&input, &outcome).is_ok(), matched == 0, "{matched}");
        }
        assert!(judge(&input, &ToolOutcome::default()).is_err());
    }
}
