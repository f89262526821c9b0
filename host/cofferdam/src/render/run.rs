//! Runs for people.

use super::table::Table;
use super::time::{taken, when, when_any};
use super::{bytes, safe, sayln};
use cofferdam_store::{
    Approval, ApprovalState, LogLevel, LogLine, RunDetail, RunState, RunSummary, StepCounts,
    StepState,
};
use console::{Style, StyledObject, style};
use serde_json::Value;

/// A run's state in its colour.
pub fn run_state(state: RunState) -> StyledObject<&'static str> {
    let how = match state {
        RunState::Succeeded => Style::new().green(),
        RunState::Failed | RunState::NeedsAttention => Style::new().red(),
        RunState::WaitingApproval => Style::new().yellow(),
        RunState::Pending | RunState::Cancelled => Style::new().dim(),
        RunState::Running | RunState::Cancelling | RunState::Compensating => Style::new().cyan(),
    };
    how.apply_to(state.as_str())
}

/// Runs as a table, and how to see more.
pub fn list(runs: &[RunSummary], next: Option<&str>) {
    let mut table = Table::new(&["run", "workflow", "state", "steps", "by", "made", "took"]);
    for run in runs {
        let done = done(run.state, run.steps);
        table.row(&[
            &run.id,
            &run.workflow,
            run.state.as_str(),
            &format!("{done}/{}", run.steps.total),
            &run.actor,
            &when(run.created),
            &run.started
                .map_or_else(|| "-".to_owned(), |started| taken(started, run.finished)),
        ]);
    }
    table.print("no runs");
    more(next);
}

/// How many steps are done with: what failed is not, and what was left out only where the
/// run succeeded without it.
const fn done(state: RunState, steps: StepCounts) -> u32 {
    match state {
        RunState::Succeeded => steps.succeeded + steps.skipped,
        _ => steps.succeeded,
    }
}

/// Says how to go on with a list that was cut.
pub fn more(next: Option<&str>) {
    if let Some(next) = next {
        sayln!("there are more: --cursor {}", safe(next));
    }
}

/// A run with its steps.
pub fn detail(detail: &RunDetail) {
    let run = &detail.run;
    sayln!(
        "{}  {}  {}",
        run.id,
        safe(&run.workflow),
        run_state(run.state)
    );
    sayln!(
        "  project {}, by {}, made {}",
        safe(&run.project),
        safe(&run.actor),
        when(run.created)
    );
    if let Some(started) = run.started {
        let word = if run.finished.is_some() {
            "took"
        } else {
            "for"
        };
        sayln!("  {word} {}", taken(started, run.finished));
    }
    for (name, value) in &run.labels {
        sayln!("  label {}={}", safe(name), safe(value));
    }
    named_values("  input ", &run.inputs);
    sayln!();
    steps(detail);
    for approval in detail
        .approvals
        .iter()
        .filter(|approval| approval.state == ApprovalState::Pending)
    {
        sayln!();
        plan(approval);
    }
    if !detail.artifacts.is_empty() {
        sayln!();
        let mut table = Table::new(&["artifact", "size", "path"]);
        for artifact in &detail.artifacts {
            table.row(&[&artifact.name, &bytes(artifact.size), &artifact.path]);
        }
        table.print("");
    }
    if !detail.plugins.is_empty() {
        sayln!();
        let mut table = Table::new(&["plugin", "version", "digest"]);
        for plugin in &detail.plugins {
            let digest: String = plugin.digest.chars().take(12).collect();
            table.row(&[&plugin.id, &plugin.version, &digest]);
        }
        table.print("");
    }
    outcome(detail);
}

fn steps(detail: &RunDetail) {
    let mut table = Table::new(&["step", "state", "attempts", "took", "error"]);
    for step in &detail.steps {
        let error = step
            .error
            .as_ref()
            .map_or("", |problem| problem.message.as_str());
        let state = match step.next_attempt_at {
            Some(at) if step.state == StepState::Retrying => {
                format!("{}, {}", step.state.as_str(), when(at))
            }
            _ => step.state.as_str().to_owned(),
        };
        table.row(&[
            &step.step,
            &state,
            &step.attempt.to_string(),
            &step
                .started
                .map_or_else(String::new, |started| taken(started, step.finished)),
            error,
        ]);
    }
    table.print("no steps");
}

/// How a run ended or why it stands still, and its outputs.
pub fn outcome(detail: &RunDetail) {
    let run = &detail.run;
    if let Some(outputs) = &run.outputs {
        named_values("output ", outputs);
    }
    if let Some(problem) = &run.error {
        sayln!("{}: {}", safe(&problem.code), safe(&problem.message));
        if let Some(hint) = &problem.hint {
            sayln!("hint: {}", safe(hint));
        }
    }
    if let Some(attention) = &run.attention {
        sayln!("needs attention: {}", safe(attention));
    }
}

fn named_values(prefix: &str, values: &Value) {
    for (name, value) in values.as_object().into_iter().flatten() {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        sayln!("{prefix}{} = {}", safe(name), safe(&text));
    }
}

/// What a step plans to do.
pub fn plan(approval: &Approval) {
    for line in plan_lines(approval) {
        sayln!("{line}");
    }
}

/// The lines of [`plan`].
pub fn plan_lines(approval: &Approval) -> Vec<String> {
    let text =
        |value: &Value, key: &str| safe(value.get(key).and_then(Value::as_str).unwrap_or_default());
    let plan = &approval.plan;
    let mut lines = vec![
        style(format!("{} waits for approval", safe(&approval.step)))
            .bold()
            .to_string(),
    ];
    for said in [text(plan, "message"), text(plan, "summary")] {
        if !said.is_empty() {
            lines.push(format!("  {said}"));
        }
    }
    for change in plan
        .get("changes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        lines.push(format!(
            "  {} {}",
            text(change, "action"),
            text(change, "subject")
        ));
        for line in text(change, "detail").lines() {
            lines.push(format!("      {line}"));
        }
    }
    lines.push(format!("  digest {}", safe(&approval.digest)));
    lines.push(format!("  asked {}", when_any(Some(approval.requested))));
    lines
}

/// One line of a log.
pub fn log_line(line: &LogLine) -> String {
    let level = match line.level {
        LogLevel::Error => style("error").red(),
        LogLevel::Warn => style("warn ").yellow(),
        LogLevel::Info => style("info ").green(),
        LogLevel::Debug => style("debug").dim(),
        LogLevel::Trace => style("trace").dim(),
    };
    let fields: String = line
        .fields
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| match value {
            Value::String(text) => format!(" {name}={text}"),
            other => format!(" {name}={other}"),
        })
        .collect();
    let place = line.step.as_deref().unwrap_or("run");
    format!(
        "{} {level} {}: {}{}",
        line.at,
        safe(place),
        safe(&line.message),
        safe(&fields)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_not_done() {
        let steps = |succeeded, failed, skipped| StepCounts {
            total: 3,
            succeeded,
            failed,
            skipped,
            running: 0,
        };
        for (state, steps, shown) in [
            (RunState::Succeeded, steps(3, 0, 0), 3),
            (RunState::Succeeded, steps(2, 0, 1), 3),
            (RunState::Failed, steps(2, 1, 0), 2),
            (RunState::Failed, steps(0, 1, 2), 0),
            (RunState::Cancelled, steps(1, 0, 2), 1),
            (RunState::Running, steps(1, 0, 0), 1),
        ] {
            assert_eq!(done(state, steps), shown, "{state} {steps:?}");
        }
    }
}
