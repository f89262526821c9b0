//! What is true of a run of ten steps however often and whenever its hosts were killed.

use cofferdam_store::{
    Event, EventFilter, Operation, PageRequest, RunFilter, RunState, StepState, Store, event_kind,
};
use serde_json::Value;
use std::path::Path;

/// The steps that are undone when the run fails.
pub const UNDONE: [&str; 3] = ["s1", "s2", "s5"];

/// What was done to a run, and what has to come of it.
pub struct Case<'a> {
    /// The state folder.
    pub state: &'a Path,
    /// Whether its last step fails.
    pub fail: bool,
    /// How often a host was killed.
    pub kills: u32,
    /// What it puts out where it succeeds.
    pub outputs: Value,
    /// What else is said where it does not hold.
    pub what: &'a str,
}

impl Case<'_> {
    /// Requires it. Gives the run's operations.
    ///
    /// `done` are the effects outside, in order, each `do STEP` or `undo STEP`.
    #[track_caller]
    pub fn check(&self, done: &[String]) -> Vec<Operation> {
        let Self { state, fail, .. } = *self;
        let store = Store::open(state.join("cofferdam.db")).unwrap();
        let report = store.check().unwrap();
        assert!(report.damage.is_empty(), "{}: {report:?}", self.what);
        let runs = store
            .runs(&RunFilter::default(), &PageRequest::default())
            .unwrap();
        assert_eq!(runs.items.len(), 1, "{}: {runs:#?}", self.what);
        let view = store.run_detail(&runs.items[0].id).unwrap();
        let events = store.events(0, &EventFilter::default(), 1000).unwrap();
        let context = format!("{}: {view:#?}\n{events:#?}\n{done:#?}", self.what);
        let expected = if fail {
            (RunState::Failed, None)
        } else {
            (RunState::Succeeded, Some(self.outputs.clone()))
        };
        assert_eq!((view.run.state, view.run.outputs), expected, "{context}");
        assert_eq!(view.steps.len(), 10, "{context}");
        let most = 1 + self.kills;
        for step in &view.steps {
            let id = step.step.as_str();
            let expected = match id {
                "s10" if fail => StepState::Failed,
                id if fail && UNDONE.contains(&id) => StepState::Compensated,
                _ => StepState::Succeeded,
            };
            assert_eq!(step.state, expected, "{id}: {context}");
            assert!((1..=most).contains(&step.attempt), "{id}: {context}");
            let undone = expected == StepState::Compensated;
            assert_eq!(step.compensation_attempt > 0, undone, "{id}: {context}");
            assert!(step.compensation_attempt <= most, "{id}: {context}");
            let failures = u32::from(expected == StepState::Failed);
            assert_eq!(step.failures, failures, "a kill is no failure: {context}");
        }
        journal(&events, fail, &context);
        effects(done, &events, fail, &context);
        let operations = store.operations(&view.run.id).unwrap();
        assert_eq!(operations.len(), done.len(), "{context}");
        operations
    }
}

/// What must have been said once, was; nothing is missing between.
#[track_caller]
fn journal(events: &[Event], fail: bool, context: &str) {
    for pair in events.windows(2) {
        assert_eq!(pair[1].id, pair[0].id + 1, "{context}");
    }
    let count = |kind: &str, step: Option<&str>| {
        events
            .iter()
            .filter(|event| event.kind == kind && (step.is_none() || event.step.as_deref() == step))
            .count()
    };
    for id in 1..=10 {
        let id = format!("s{id}");
        let failed = usize::from(fail && id == "s10");
        let undone = usize::from(fail && UNDONE.contains(&id.as_str()));
        for (kind, times) in [
            (event_kind::STEP_SUCCEEDED, 1 - failed),
            (event_kind::STEP_FAILED, failed),
            (event_kind::STEP_COMPENSATED, undone),
            (event_kind::OPERATION_STARTED, 1 + undone),
            (event_kind::OPERATION_FINISHED, 1 + undone),
        ] {
            assert_eq!(count(kind, Some(&id)), times, "{kind} of {id}: {context}");
        }
    }
    let ended = usize::from(fail);
    for (kind, times) in [
        (event_kind::RUN_CREATED, 1),
        (event_kind::RUN_STARTED, 1),
        (event_kind::APPROVAL_REQUESTED, 1),
        (event_kind::APPROVAL_APPROVED, 1),
        (event_kind::RUN_COMPENSATING, ended),
        (event_kind::RUN_FAILED, ended),
        (event_kind::RUN_SUCCEEDED, 1 - ended),
    ] {
        assert_eq!(count(kind, None), times, "{kind}: {context}");
    }
}

/// Each effect once, undone in the reverse order of success.
#[track_caller]
fn effects(done: &[String], events: &[Event], fail: bool, context: &str) {
    for id in 1..=10 {
        let id = format!("s{id}");
        let times = |what: String| done.iter().filter(|line| **line == what).count();
        let undone = usize::from(fail && UNDONE.contains(&id.as_str()));
        let found = (times(format!("do {id}")), times(format!("undo {id}")));
        assert_eq!(found, (1, undone), "{id}: {context}");
    }
    let mut wanted: Vec<String> = events
        .iter()
        .filter(|event| event.kind == event_kind::STEP_SUCCEEDED)
        .filter_map(|event| event.step.clone())
        .filter(|step| fail && UNDONE.contains(&step.as_str()))
        .map(|step| format!("undo {step}"))
        .collect();
    wanted.reverse();
    let mut undone = done.to_vec();
    undone.retain(|line| line.starts_with("undo"));
    assert_eq!(undone, wanted, "{context}");
}
