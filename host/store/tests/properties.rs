//! Whatever is asked of a run in whatever order, by an engine that may be wrong: what is
//! allowed keeps the invariants, and what is refused changes nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod common;

use std::collections::BTreeMap;

use cofferdam_store::{
    ApprovalState, Attempt, AttemptOutcome, Change, CompensationOutcome, Decision, Durability,
    Event, EventFilter, OperationState, Problem, RunDetail, RunOutcome, RunState, StepState, Store,
    StoreError, Time, event_kind,
};
use common::{Place, audit, new_run};
use proptest::prelude::*;
use serde_json::json;

const STEPS: [&str; 3] = ["a", "b", "c"];

/// Something that is asked of the store.
#[derive(Clone, Debug)]
enum Ask {
    Advance(Vec<Change>),
    Decide(&'static str, &'static str, Decision),
    Cancel,
    Resume,
    Retry,
    BeginOperation(&'static str, bool),
    EndOperation(&'static str, bool),
}

fn problem() -> Problem {
    Problem::new("other", "it broke")
}

fn step() -> impl Strategy<Value = &'static str> {
    prop::sample::select(STEPS.to_vec())
}

fn digest() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["d1", "d2"])
}

fn outcome() -> impl Strategy<Value = AttemptOutcome> {
    prop_oneof![
        4 => Just(AttemptOutcome::Succeeded { output: json!({ "x": 1 }) }),
        2 => Just(AttemptOutcome::Failed { error: problem() }),
        2 => Just(AttemptOutcome::Retry { error: problem(), at: Time(5) }),
        1 => Just(AttemptOutcome::Cancelled),
        1 => Just(AttemptOutcome::NeedsAttention { error: problem() }),
    ]
}

fn undone() -> impl Strategy<Value = CompensationOutcome> {
    prop_oneof![
        2 => Just(CompensationOutcome::Compensated),
        1 => Just(CompensationOutcome::Failed { error: problem() }),
        1 => Just(CompensationOutcome::NeedsAttention { error: problem() }),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let run_state = prop::sample::select(RunState::ALL.to_vec());
    let text = |step: &'static str| step.to_owned();
    prop_oneof![
        4 => run_state.prop_map(|state| Change::Run {
            state,
            attention: (state == RunState::NeedsAttention).then(|| "look".to_owned()),
            error: (state == RunState::Compensating).then(problem),
        }),
        8 => (step(), prop::option::of(digest()), prop::bool::weighted(0.2)).prop_map(
            move |(step, digest, interrupted)| Change::Begin(Attempt {
                step: text(step),
                input: json!({}),
                digest: digest.map(str::to_owned),
                interrupted,
            })
        ),
        8 => (step(), 1..4_u32, outcome()).prop_map(move |(step, attempt, outcome)| Change::End {
            step: text(step),
            attempt,
            outcome,
        }),
        1 => step().prop_map(move |step| Change::Fail { step: text(step), error: problem() }),
        1 => step().prop_map(move |step| Change::Skip {
            step: text(step),
            reason: "no".to_owned(),
        }),
        1 => step().prop_map(move |step| Change::Cancel { step: text(step) }),
        1 => step().prop_map(move |step| Change::Park { step: text(step), error: problem() }),
        2 => (step(), digest()).prop_map(move |(step, digest)| Change::RequestApproval {
            step: text(step),
            input: json!({}),
            digest: digest.to_owned(),
            plan: json!({}),
        }),
        4 => (step(), any::<bool>()).prop_map(move |(step, interrupted)| {
            Change::BeginCompensation { step: text(step), interrupted }
        }),
        4 => (step(), 1..4_u32, undone()).prop_map(move |(step, attempt, outcome)| {
            Change::EndCompensation {
                step: text(step),
                attempt,
                outcome,
            }
        }),
        1 => Just(Change::Finish(RunOutcome::Succeeded { outputs: json!({}) })),
        1 => Just(Change::Finish(RunOutcome::Failed { error: problem() })),
        1 => Just(Change::Finish(RunOutcome::Cancelled)),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        12 => prop::collection::vec(change(), 1..3).prop_map(Ask::Advance),
        2 => (step(), digest(), prop::sample::select(Decision::ALL.to_vec()))
            .prop_map(|(step, digest, decision)| Ask::Decide(step, digest, decision)),
        1 => Just(Ask::Cancel),
        1 => Just(Ask::Resume),
        1 => Just(Ask::Retry),
        1 => (step(), any::<bool>()).prop_map(|(step, same)| Ask::BeginOperation(step, same)),
        1 => (step(), any::<bool>()).prop_map(|(step, lost)| Ask::EndOperation(step, lost)),
    ]
}

fn perform(store: &Store, run: &str, ask: &Ask) -> Result<Vec<Event>, StoreError> {
    match ask {
        Ask::Advance(changes) => store.advance(run, Durability::Process, changes),
        Ask::Decide(step, digest, decision) => {
            store.decide_approval(run, step, digest, *decision, None, &audit("approve"))
        }
        Ask::Cancel => store.request_cancel(run, None, &audit("cancel")),
        Ask::Resume => store.resume_run(run, &audit("resume")),
        Ask::Retry => store.retry_run(run, &audit("retry")),
        Ask::BeginOperation(step, same) => store
            .begin_operation(run, step, "tool", &json!({ "same": same }))
            .map(|(_, events)| events),
        Ask::EndOperation(step, lost) => {
            let operations = store.operations(run)?;
            let alive = operations.iter().find(|operation| {
                operation.step == *step && operation.state != OperationState::Abandoned
            });
            match alive {
                None => Ok(Vec::new()),
                Some(operation) if *lost => store.lose_operation(&operation.key),
                Some(operation) => store.finish_operation(&operation.key, &json!(1)),
            }
        }
    }
}

fn journal(store: &Store, run: &str) -> Vec<Event> {
    let filter = EventFilter {
        run: Some(run.to_owned()),
        ..EventFilter::default()
    };
    store.events(0, &filter, 1000).unwrap()
}

/// What a step's state must be by its events alone.
fn state_by_journal(events: &[Event], step: &str) -> Option<StepState> {
    events
        .iter()
        .rev()
        .filter(|event| event.step.as_deref() == Some(step))
        .find_map(|event| match event.kind.as_str() {
            event_kind::STEP_STARTED => Some(StepState::Running),
            event_kind::APPROVAL_REQUESTED => Some(StepState::WaitingApproval),
            kind => kind.strip_prefix("step.")?.parse().ok(),
        })
}

/// What holds after every change that was allowed, whatever it was.
fn check(
    before: &RunDetail,
    after: &RunDetail,
    events: &[Event],
    operations: &BTreeMap<String, OperationState>,
) {
    let run = &after.run;
    assert!(events.windows(2).all(|pair| pair[0].id < pair[1].id));
    assert_eq!(run.finished.is_some(), run.state.is_finished());
    assert!(run.attention.is_none() || run.state == RunState::NeedsAttention);
    for (old, step) in before.steps.iter().zip(&after.steps) {
        // Numbers of attempts never go back, or an old attempt could pass for a new one.
        assert!(step.attempt >= old.attempt);
        assert!(step.compensation_attempt >= old.compensation_attempt);
        assert!(step.failures <= step.attempt);
        // What is being undone has finished before.
        let ended = step.state.is_finished();
        assert!(step.finished.is_some() || !ended, "{step:?}");
        let undone = step.succeeded_event.is_some();
        assert!(step.finished.is_none() || ended || undone, "{step:?}");
        assert_eq!(
            step.next_attempt_at.is_some(),
            step.state == StepState::Retrying
        );
        if run.state.is_finished() {
            assert!(step.state.is_finished(), "{step:?}");
        }
        if matches!(
            step.state,
            StepState::Succeeded | StepState::Compensating | StepState::Compensated
        ) {
            let event = step.succeeded_event.unwrap();
            assert!(events.iter().any(|each| each.id == event
                && each.kind == event_kind::STEP_SUCCEEDED
                && each.step.as_ref() == Some(&step.step)));
            assert!(step.output.is_some());
        }
        // The record and the journal tell the same story, but for steps that a resume
        // put back where their compensation found them.
        let told = state_by_journal(events, &step.step).unwrap_or(StepState::Pending);
        let kept = told == StepState::Pending && step.state == StepState::Succeeded;
        assert!(told == step.state || kept, "{told} {step:?}");
        let approval = after
            .approvals
            .iter()
            .find(|approval| approval.step == step.step);
        let waits = approval.is_some_and(|approval| approval.state == ApprovalState::Pending);
        assert_eq!(waits, step.state == StepState::WaitingApproval, "{step:?}");
        if step.state == StepState::Running && old.state != StepState::Running {
            assert!(approval.is_none_or(|approval| approval.state == ApprovalState::Approved));
        }
    }
    if run.state == RunState::Succeeded {
        assert!(
            after
                .steps
                .iter()
                .all(|step| !matches!(step.state, StepState::Pending | StepState::Running))
        );
    }
    let alive: Vec<&OperationState> = operations
        .values()
        .filter(|state| **state != OperationState::Abandoned)
        .collect();
    assert!(alive.len() <= STEPS.len(), "one alive a name and step");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn arbitrary_changes_keep_the_invariants(asks in prop::collection::vec(ask(), 1..60)) {
        let place = Place::new();
        let store = &place.store;
        let new = new_run(&STEPS);
        let run = new.id.as_str();
        store.create_run(&new, &audit("run.start")).unwrap();
        store.set_run_state(run, RunState::Running).unwrap();
        let mut allowed = 0;
        for ask in &asks {
            let before = store.run_detail(run).unwrap();
            let events_before = journal(store, run);
            let result = perform(store, run, ask);
            let after = store.run_detail(run).unwrap();
            let events = journal(store, run);
            match result {
                Ok(written) => {
                    allowed += 1;
                    prop_assert_eq!(&events[..events_before.len()], &events_before[..]);
                    prop_assert_eq!(&events[events_before.len()..], &written[..]);
                    let operations = store
                        .operations(run)
                        .unwrap()
                        .into_iter()
                        .map(|operation| (operation.key, operation.state))
                        .collect();
                    check(&before, &after, &events, &operations);
                    if before.run.cancel_requested && before.run.state != RunState::Cancelled {
                        let began = written.iter().any(|event| {
                            event.kind == event_kind::STEP_STARTED
                        });
                        prop_assert!(!began, "a cancelled run begins nothing: {:?}", ask);
                    }
                }
                Err(StoreError::Conflict { .. } | StoreError::NotFound { .. }) => {
                    prop_assert_eq!(after, before);
                    prop_assert_eq!(events, events_before);
                }
                Err(other) => return Err(TestCaseError::fail(other.to_string())),
            }
        }
        // Most of what is asked is wrong, and yet something must have been right.
        prop_assert!(allowed > 0 || asks.len() < 40);
        prop_assert!(store.check().unwrap().is_sound());
    }
}

#[test]
fn the_tables_of_transitions_agree_with_what_ended_means() {
    for state in RunState::ALL {
        for next in RunState::ALL {
            if state.is_finished() && state.may_become(*next) {
                // Only a retry leaves an end.
                assert_eq!(*next, RunState::Running);
                assert_ne!(*state, RunState::Succeeded);
            }
        }
    }
    for state in StepState::ALL {
        assert!(!state.is_active() || state.may_become(*state));
        if state.is_finished() {
            let onwards: Vec<_> = StepState::ALL
                .iter()
                .filter(|next| state.may_become(**next))
                .collect();
            assert!(
                onwards
                    .iter()
                    .all(|next| matches!(next, StepState::Pending | StepState::Compensating))
            );
        }
    }
}
