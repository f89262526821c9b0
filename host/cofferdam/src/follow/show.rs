//! What is seen of a run while it goes on: in a terminal one calm line a step at work, in a
//! pipe a line for each thing that happened.

use crate::client::events::ServerEvent;
use crate::render::run::log_line;
use crate::render::{bytes, safe};
use cofferdam_store::{Event, LogLine};
use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::IsTerminal;

/// Redraws a second at most.
const REDRAWS: u8 = 4;

/// How far something is, as the API sends it.
#[derive(Deserialize)]
struct Progress {
    step: String,
    what: String,
    done: u64,
    total: u64,
    unit: String,
}

/// Shows a run on standard error.
pub struct Show {
    logs: bool,
    terminal: bool,
    bars: MultiProgress,
    steps: BTreeMap<String, ProgressBar>,
}

impl Show {
    /// With or without the steps' logs.
    pub fn new(logs: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal {
            ProgressDrawTarget::stderr_with_hz(REDRAWS)
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            logs,
            terminal,
            bars: MultiProgress::with_draw_target(target),
            steps: BTreeMap::new(),
        }
    }

    /// Shows what happened.
    pub fn event(&mut self, event: &ServerEvent) {
        match event.event.as_str() {
            "progress" => {
                if let Ok(progress) = serde_json::from_str(&event.data) {
                    self.progress(&progress);
                }
            }
            "log" => {
                if self.logs
                    && let Ok(line) = serde_json::from_str::<LogLine>(&event.data)
                {
                    self.say(&log_line(&line));
                }
            }
            _ => {
                if let Ok(event) = serde_json::from_str::<Event>(&event.data) {
                    self.journal(&event);
                }
            }
        }
    }

    fn progress(&mut self, progress: &Progress) {
        let Some(bar) = self.steps.get(&progress.step) else {
            return;
        };
        let amount = |count: u64| match progress.unit.as_str() {
            "bytes" => bytes(count),
            _ => count.to_string(),
        };
        let unit = match progress.unit.as_str() {
            "bytes" => String::new(),
            other => format!(" {}", safe(other)),
        };
        let far = match (progress.done, progress.total) {
            (0, 0) => String::new(),
            (done, 0) => format!(" {}{unit}", amount(done)),
            (done, total) => format!(
                " {}/{}{unit}, {} %",
                amount(done),
                amount(total),
                done.min(total).saturating_mul(100) / total
            ),
        };
        bar.set_message(format!(
            "{}: {}{far}",
            safe(&progress.step),
            safe(&progress.what)
        ));
    }

    fn journal(&mut self, event: &Event) {
        let Some(line) = line(event) else {
            return;
        };
        if let Some(step) = &event.step {
            match event.kind.as_str() {
                "step.started" | "step.compensating" => self.begin(step, &event.kind),
                kind if kind.starts_with("step.") || kind == "approval.requested" => {
                    if let Some(bar) = self.steps.remove(step) {
                        bar.finish_and_clear();
                    }
                }
                _ => {}
            }
            // In a terminal the bar says that a step is at work.
            if self.terminal && event.kind == "step.started" {
                return;
            }
        }
        self.say(&line);
    }

    fn begin(&mut self, step: &str, kind: &str) {
        let bar = self.bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        let doing = if kind == "step.compensating" {
            ": undoing"
        } else {
            ""
        };
        bar.set_message(format!("{}{doing}", safe(step)));
        // The clock of the line moves, and little else does.
        bar.enable_steady_tick(std::time::Duration::from_secs(1));
        if let Some(before) = self.steps.insert(step.to_owned(), bar) {
            before.finish_and_clear();
        }
    }

    /// Prints a line above the bars.
    pub fn say(&self, line: &str) {
        if self.terminal {
            // What the terminal refuses cannot be told anywhere.
            let _ = self.bars.println(line);
        } else {
            eprintln!("{line}");
        }
    }

    /// Takes the bars away, so that something can be asked.
    pub fn clear(&self) {
        let _ = self.bars.clear();
    }

    /// Takes the bars away for good.
    pub fn finish(&mut self) {
        for bar in std::mem::take(&mut self.steps).into_values() {
            bar.finish_and_clear();
        }
        self.clear();
    }
}

/// An event as a line; none where it says nothing to people.
fn line(event: &Event) -> Option<String> {
    let step = safe(event.step.as_deref().unwrap_or_default());
    let text = |key: &str| event.data.get(key).and_then(Value::as_str);
    let problem = || {
        let error = event.data.get("error");
        let message = error
            .and_then(|error| error.get("message"))
            .and_then(Value::as_str)
            .or_else(|| text("reason"));
        message.map_or_else(String::new, |message| format!(": {}", safe(message)))
    };
    let again = match event.attempt {
        Some(attempt) if attempt > 1 => format!(" (attempt {attempt})"),
        _ => String::new(),
    };
    let line = match event.kind.as_str() {
        "run.created" => format!("run {} created", event.run),
        "run.started" => format!("run {} started", event.run),
        "run.resumed" | "run.retried" => format!("run {} goes on", event.run),
        "run.cancelling" => "run: cancelling".to_owned(),
        "run.compensating" => "run: undoing what was done".to_owned(),
        "run.needs-attention" => format!("run: {}{}", style("needs attention").red(), problem()),
        "step.started" => format!("{step}: started{again}"),
        "step.succeeded" => format!("{step}: {}{again}", style("succeeded").green()),
        "step.failed" => format!("{step}: {}{again}{}", style("failed").red(), problem()),
        "step.retrying" => format!(
            "{step}: {}{}",
            style("will be tried again").yellow(),
            problem()
        ),
        "step.skipped" => format!("{step}: skipped{}", problem()),
        "step.cancelled" => format!("{step}: cancelled"),
        "step.needs-attention" => {
            format!("{step}: {}{}", style("needs attention").red(), problem())
        }
        "step.compensating" => format!("{step}: undoing"),
        "step.compensated" => format!("{step}: undone"),
        "step.compensation-failed" => {
            format!(
                "{step}: {}{}",
                style("could not be undone").red(),
                problem()
            )
        }
        "approval.requested" => format!("{step}: {}", style("waits for approval").yellow()),
        "approval.approved" => format!("{step}: approved{}", by(text("actor"))),
        "approval.rejected" => format!("{step}: rejected{}", by(text("actor"))),
        _ => return None,
    };
    Some(line)
}

fn by(actor: Option<&str>) -> String {
    actor.map_or_else(String::new, |actor| format!(" by {}", safe(actor)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_store::Time;
    use serde_json::json;

    fn event(kind: &str, attempt: Option<u32>, data: Value) -> Event {
        Event {
            id: 1,
            run: "run-1".into(),
            project: "default".into(),
            step: Some("build".into()),
            attempt,
            at: Time(0),
            kind: kind.into(),
            data,
        }
    }

    #[test]
    fn events_are_lines_and_hostile_words_stay_words() {
        for (event, expected) in [
            (
                event("step.started", Some(1), json!({})),
                Some("build: started"),
            ),
            (
                event("step.started", Some(3), json!({})),
                Some("build: started (attempt 3)"),
            ),
            (
                event(
                    "step.failed",
                    Some(1),
                    json!({"error": {"code": "other", "message": "no \u{1b}[2Jdisk"}}),
                ),
                Some("build: failed: no \\u{1b}[2Jdisk"),
            ),
            (event("operation.started", None, json!({})), None),
        ] {
            let line = line(&event).map(|line| console::strip_ansi_codes(&line).into_owned());
            assert_eq!(line.as_deref(), expected);
        }
    }
}
