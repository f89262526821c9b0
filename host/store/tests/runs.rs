//! The life of runs: what goes, what is refused, and what is written about it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod common;

use cofferdam_store::{
    ApprovalFilter, ApprovalState, Attempt, AttemptOutcome, AuditFilter, Change,
    CompensationOutcome, Decision, Durability, Event, EventFilter, IdempotencyClaim,
    IdempotencyKey, KeptAnswer, OperationBegun, OperationState, PageRequest, Problem, RunOutcome,
    RunState, StepState, Store, StoreError, Time, operation_key,
};
use common::{Place, attempt, audit, new_run, running, succeed, success};
use serde_json::json;

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

fn journal(store: &Store, run: &str) -> Vec<Event> {
    let filter = EventFilter {
        run: Some(run.to_owned()),
        ..EventFilter::default()
    };
    store.events(0, &filter, 1000).unwrap()
}

fn state_of(store: &Store, run: &str, step: &str) -> StepState {
    let steps = store.steps(run).unwrap();
    steps.iter().find(|each| each.step == step).unwrap().state
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Conflict { why, .. }) => why,
        other => panic!("not refused: {other:?}"),
    }
}

fn problem(message: &str) -> Problem {
    Problem::new("other", message)
}

#[test]
fn a_run_from_its_start_to_its_end() {
    let place = Place::new();
    let store = &place.store;
    let new = new_run(&["a", "b"]);
    let run = new.id.as_str();
    let created = store.create_run(&new, &audit("run.start")).unwrap();
    assert_eq!(kinds(&created), ["run.created", "artifact.recorded"]);
    assert_eq!(store.run(run).unwrap().state, RunState::Pending);

    let begun = store
        .advance(
            run,
            Durability::Process,
            &[Change::run(RunState::Running), Change::Begin(attempt("a"))],
        )
        .unwrap();
    assert_eq!(kinds(&begun), ["run.started", "step.started"]);
    // The end of one and the beginning of the next are one transaction.
    let followed = store
        .end_attempt(run, "a", 1, success(json!({ "x": 1 })), vec![attempt("b")])
        .unwrap();
    assert_eq!(kinds(&followed), ["step.succeeded", "step.started"]);
    store
        .end_attempt(run, "b", 1, success(json!({})), vec![])
        .unwrap();
    let outputs = json!({ "y": [1, 2] });
    store
        .finish_run(
            run,
            RunOutcome::Succeeded {
                outputs: outputs.clone(),
            },
        )
        .unwrap();

    let detail = store.run_detail(run).unwrap();
    assert_eq!(detail.run.state, RunState::Succeeded);
    assert_eq!(detail.run.outputs, Some(outputs));
    assert!(detail.run.started.is_some() && detail.run.finished.is_some());
    assert_eq!(detail.steps[0].output, Some(json!({ "x": 1 })));
    assert_eq!(detail.steps[0].input, Some(json!({ "program": "true" })));
    assert_eq!(detail.artifacts[0].size, 1 << 40);
    assert_eq!(detail.plugins[0].digest, "sha");
    let events = journal(store, run);
    assert!(events.windows(2).all(|pair| pair[0].id < pair[1].id));
    assert_eq!(events.last().unwrap().kind, "run.succeeded");
    assert_eq!(
        detail.steps[0].succeeded_event,
        Some(followed[0].id),
        "compensation goes by the order of success"
    );
    assert!(store.unfinished_runs(None, 10).unwrap().is_empty());

    let json = serde_json::to_value(&detail).unwrap();
    assert_eq!(json["run"]["state"], "succeeded");
    assert_eq!(
        serde_json::from_value::<cofferdam_store::RunDetail>(json).unwrap(),
        detail
    );
}

#[test]
fn a_change_that_is_refused_takes_its_transaction_with_it() {
    let place = Place::new();
    let store = &place.store;
    let run = running(store, &["a", "b"]);
    let before = journal(store, &run);
    let why = refused(store.advance(
        &run,
        Durability::Process,
        &[Change::Begin(attempt("a")), Change::Begin(attempt("a"))],
    ));
    assert!(why.contains("already"), "{why}");
    assert_eq!(journal(store, &run), before);
    assert_eq!(state_of(store, &run, "a"), StepState::Pending);
    // The connection is fit for use afterwards.
    succeed(store, &run, "a");
}

#[test]
fn wrong_transitions_are_refused() {
    let place = Place::new();
    let store = &place.store;
    let new = new_run(&["a", "b"]);
    let run = new.id.as_str();
    store.create_run(&new, &audit("run.start")).unwrap();
    assert!(matches!(
        store.create_run(&new, &audit("run.start")),
        Err(StoreError::Exists { .. })
    ));
    refused(store.begin_attempt(run, attempt("a")));
    refused(store.set_run_state(run, RunState::Compensating));
    refused(store.set_run_state(run, RunState::Succeeded));
    refused(store.resume_run(run, &audit("run.resume")));
    refused(store.retry_run(run, &audit("run.retry")));
    store.set_run_state(run, RunState::Running).unwrap();
    refused(store.set_run_state(run, RunState::Running));
    refused(store.finish_run(run, RunOutcome::Succeeded { outputs: json!({}) }));

    refused(store.end_attempt(run, "a", 1, success(json!({})), vec![]));
    store.begin_attempt(run, attempt("a")).unwrap();
    refused(store.begin_attempt(run, attempt("a")));
    refused(store.end_attempt(run, "a", 2, success(json!({})), vec![]));
    refused(store.skip_steps(run, &["a".to_owned()], "no"));
    for change in [
        Change::Cancel {
            step: "a".to_owned(),
        },
        Change::Fail {
            step: "a".to_owned(),
            error: problem("x"),
        },
        Change::Park {
            step: "a".to_owned(),
            error: problem("x"),
        },
        Change::BeginCompensation {
            step: "a".to_owned(),
            interrupted: false,
        },
    ] {
        refused(store.advance(run, Durability::Process, &[change]));
    }
    refused(store.finish_run(
        run,
        RunOutcome::Failed {
            error: problem("x"),
        },
    ));
    store
        .end_attempt(run, "a", 1, success(json!({})), vec![])
        .unwrap();
    refused(store.end_attempt(run, "a", 1, success(json!({})), vec![]));
    refused(store.begin_attempt(run, attempt("a")));
    let mut interrupted = attempt("b");
    interrupted.interrupted = true;
    refused(store.begin_attempt(run, interrupted));

    store
        .finish_run(
            run,
            RunOutcome::Failed {
                error: problem("x"),
            },
        )
        .unwrap();
    assert_eq!(state_of(store, run, "b"), StepState::Skipped);
    for result in [
        store.begin_attempt(run, attempt("b")),
        store.set_run_state(run, RunState::Running),
        store.finish_run(run, RunOutcome::Cancelled),
        store.request_cancel(run, None, &audit("run.cancel")),
        store.skip_steps(run, &["b".to_owned()], "no"),
    ] {
        refused(result);
    }
    assert!(matches!(
        store.begin_attempt("run-none", attempt("b")),
        Err(StoreError::NotFound { what: "run", .. })
    ));
    assert!(matches!(
        store.end_attempt(run, "none", 1, success(json!({})), vec![]),
        Err(StoreError::Conflict { what: "run", .. })
    ));
}

#[test]
fn an_interrupted_attempt_is_begun_again_and_is_no_failure() {
    let place = Place::new();
    let run = running(&place.store, &["a"]);
    place.store.begin_attempt(&run, attempt("a")).unwrap();
    let path = place.database();
    let Place { store, folder } = place;
    drop(store);

    let store = Store::open(path).unwrap();
    let found = store.unfinished_runs(None, 100).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].steps[0].state, StepState::Running);
    let mut again = attempt("a");
    again.interrupted = true;
    let begun = store.begin_attempt(&run, again).unwrap();
    assert_eq!(begun[0].attempt, Some(2));
    assert_eq!(begun[0].data["interrupted"], true);
    let retry = AttemptOutcome::Retry {
        error: Problem::new("unavailable", "gone"),
        at: Time(4_102_444_800_000),
    };
    store.end_attempt(&run, "a", 2, retry, vec![]).unwrap();
    let step = store.steps(&run).unwrap().remove(0);
    assert_eq!((step.attempt, step.failures), (2, 1));
    assert_eq!(step.state, StepState::Retrying);
    assert_eq!(step.next_attempt_at, Some(Time(4_102_444_800_000)));
    assert_eq!(step.error.unwrap().code, "unavailable");
    store.begin_attempt(&run, attempt("a")).unwrap();
    let step = store.steps(&run).unwrap().remove(0);
    assert_eq!((step.attempt, step.next_attempt_at), (3, None));
    drop(folder);
}

#[test]
fn what_was_approved_is_what_begins() {
    let place = Place::new();
    let store = &place.store;
    let run = running(store, &["a"]);
    let ask = |digest: &str| Change::RequestApproval {
        step: "a".to_owned(),
        input: json!({ "n": 1 }),
        digest: digest.to_owned(),
        plan: json!({ "summary": "one disk" }),
    };
    let with = |digest: &str| Attempt {
        digest: Some(digest.to_owned()),
        ..attempt("a")
    };
    let decide = |digest: &str, decision| {
        store.decide_approval(
            &run,
            "a",
            digest,
            decision,
            Some("ok"),
            &audit("run.approve"),
        )
    };
    assert!(matches!(
        decide("d1", Decision::Approve),
        Err(StoreError::NotFound { .. })
    ));
    store
        .advance(
            &run,
            Durability::Process,
            &[ask("d1"), Change::run(RunState::WaitingApproval)],
        )
        .unwrap();
    let waiting = ApprovalFilter {
        state: Some(ApprovalState::Pending),
        ..ApprovalFilter::default()
    };
    let page = store.approvals(&waiting, &PageRequest::default()).unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].plan, json!({ "summary": "one disk" }));

    refused(store.begin_attempt(&run, with("d1")));
    let why = refused(decide("d2", Decision::Approve));
    assert!(why.contains("d1"), "{why}");
    let events = decide("d1", Decision::Approve).unwrap();
    assert_eq!(
        kinds(&events),
        ["approval.approved", "step.pending", "run.resumed"]
    );
    refused(decide("d1", Decision::Approve));
    refused(decide("d1", Decision::Reject));

    // Neither something else nor nothing passes for what was approved.
    refused(store.begin_attempt(&run, with("d2")));
    refused(store.begin_attempt(&run, attempt("a")));
    store.begin_attempt(&run, with("d1")).unwrap();
    // What changed since needs another approval, which replaces the one before.
    store
        .advance(&run, Durability::Process, &[ask("d2")])
        .unwrap();
    refused(store.begin_attempt(&run, with("d1")));
    let events = decide("d2", Decision::Reject).unwrap();
    assert_eq!(kinds(&events), ["approval.rejected", "step.failed"]);
    let step = store.steps(&run).unwrap().remove(0);
    assert_eq!(step.state, StepState::Failed);
    let error = step.error.unwrap();
    assert_eq!(error.code, "denied");
    assert!(error.message.contains("ada") && error.message.contains("ok"));
    let records = store
        .audit(
            &AuditFilter {
                action: Some("run.approve".to_owned()),
                ..AuditFilter::default()
            },
            &PageRequest::default(),
        )
        .unwrap();
    assert_eq!(records.items.len(), 2, "refused decisions leave no record");
}

#[test]
fn a_retry_does_not_turn_a_rejection_into_an_approval() {
    let place = Place::new();
    let store = &place.store;
    let run = running(store, &["a"]);
    let ask = Change::RequestApproval {
        step: "a".to_owned(),
        input: json!({}),
        digest: "d".to_owned(),
        plan: json!({}),
    };
    store
        .advance(&run, Durability::Process, std::slice::from_ref(&ask))
        .unwrap();
    store
        .decide_approval(&run, "a", "d", Decision::Reject, None, &audit("run.reject"))
        .unwrap();
    store
        .finish_run(
            &run,
            RunOutcome::Failed {
                error: problem("x"),
            },
        )
        .unwrap();
    store.retry_run(&run, &audit("run.retry")).unwrap();
    let same = Attempt {
        digest: Some("d".to_owned()),
        ..attempt("a")
    };
    let why = refused(store.begin_attempt(&run, same));
    assert!(why.contains("rejected"), "{why}");
    store.advance(&run, Durability::Process, &[ask]).unwrap();
}

#[test]
fn what_was_compensated_is_done_again_by_a_retry() {
    let place = Place::new();
    let store = &place.store;
    let run = running(store, &["a", "b"]);
    succeed(store, &run, "a");
    let changes = [
        Change::run(RunState::Compensating),
        Change::BeginCompensation {
            step: "a".to_owned(),
            interrupted: false,
        },
        Change::EndCompensation {
            step: "a".to_owned(),
            attempt: 1,
            outcome: CompensationOutcome::Compensated,
        },
        Change::Finish(RunOutcome::Failed {
            error: problem("x"),
        }),
    ];
    let succeeded = store.steps(&run).unwrap().remove(0).finished;
    // The store's clock counts milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(20));
    store.advance(&run, Durability::Process, &changes).unwrap();
    let undone = store.steps(&run).unwrap().remove(0);
    assert_eq!(undone.state, StepState::Compensated);
    assert!(succeeded.is_some());
    assert_eq!(
        undone.finished, succeeded,
        "undoing is not part of the step"
    );
    store.retry_run(&run, &audit("run.retry")).unwrap();
    let step = store.steps(&run).unwrap().remove(0);
    assert_eq!(step.state, StepState::Pending);
    assert_eq!((step.output, step.succeeded_event), (None, None));
    assert_eq!((step.attempt, step.compensation_attempt), (1, 1));
    // Parked now, it is pending once resumed: it has not succeeded this time.
    let park = Change::Park {
        step: "a".to_owned(),
        error: problem("look"),
    };
    store.advance(&run, Durability::Process, &[park]).unwrap();
    store.resume_run(&run, &audit("run.resume")).unwrap();
    assert_eq!(state_of(store, &run, "a"), StepState::Pending);
}

#[test]
fn a_compensation_that_is_parked_is_begun_again_or_given_up() {
    let undo = || Change::BeginCompensation {
        step: "a".to_owned(),
        interrupted: false,
    };
    let end = |attempt, outcome| Change::EndCompensation {
        step: "a".to_owned(),
        attempt,
        outcome,
    };
    let park = || CompensationOutcome::NeedsAttention {
        error: Problem {
            waits_for: Some("digest".to_owned()),
            ..problem("it is in quarantine")
        },
    };
    let parked = |store: &Store| {
        let run = running(store, &["a", "b"]);
        succeed(store, &run, "a");
        let changes = [
            Change::run(RunState::Compensating),
            undo(),
            end(1, park()),
            Change::Run {
                state: RunState::NeedsAttention,
                attention: Some("look".to_owned()),
                error: None,
            },
        ];
        store.advance(&run, Durability::Process, &changes).unwrap();
        run
    };
    let place = Place::new();
    let store = &place.store;

    let run = parked(store);
    let step = store.steps(&run).unwrap().remove(0);
    assert_eq!(step.state, StepState::NeedsAttention);
    assert!(step.finished.is_some(), "it had succeeded");
    let told = journal(store, &run).into_iter().rev();
    let told = told.filter(|event| event.kind == "step.needs-attention");
    assert_eq!(told.map(|event| event.attempt).next(), Some(Some(1)));
    let (runs, _) = store.release_plugin("digest", None).unwrap();
    assert_eq!(runs, std::slice::from_ref(&run));
    let detail = store.run_detail(&run).unwrap();
    assert_eq!(detail.run.state, RunState::Compensating);
    let again = &detail.steps[0];
    assert_eq!(
        (again.state, again.finished),
        (StepState::Succeeded, step.finished)
    );
    let changes = [
        undo(),
        end(2, CompensationOutcome::Compensated),
        Change::Finish(RunOutcome::Cancelled),
    ];
    store.advance(&run, Durability::Process, &changes).unwrap();
    assert_eq!(state_of(store, &run, "a"), StepState::Compensated);

    // Given up, it is not as if nothing had been left behind.
    let finish = Change::Finish(RunOutcome::Failed {
        error: problem("x"),
    });
    for give_up in [
        finish.clone(),
        Change::Cancel {
            step: "a".to_owned(),
        },
    ] {
        let run = parked(store);
        store
            .advance(&run, Durability::Process, &[give_up])
            .unwrap();
        let step = store.steps(&run).unwrap().remove(0);
        assert_eq!(step.state, StepState::CompensationFailed);
        assert_eq!(step.error.unwrap().message, "it is in quarantine");
    }
}

#[test]
fn a_cancelled_run_begins_nothing_and_compensates() {
    let place = Place::new();
    let store = &place.store;
    let run = running(store, &["a", "b", "c"]);
    succeed(store, &run, "a");
    store.begin_attempt(&run, attempt("b")).unwrap();
    let events = store
        .request_cancel(&run, Some("wrong disk"), &audit("run.cancel"))
        .unwrap();
    assert_eq!(kinds(&events), ["run.cancelling"]);
    assert_eq!(events[0].data["reason"], "wrong disk");
    assert!(
        store
            .request_cancel(&run, None, &audit("run.cancel"))
            .unwrap()
            .is_empty()
    );
    refused(store.begin_attempt(&run, attempt("c")));
    // What ends in the meantime starts nothing that follows.
    refused(store.end_attempt(&run, "b", 1, success(json!({})), vec![attempt("c")]));
    store
        .end_attempt(&run, "b", 1, AttemptOutcome::Cancelled, vec![])
        .unwrap();
    let compensate = |interrupted| Change::BeginCompensation {
        step: "a".to_owned(),
        interrupted,
    };
    refused(store.advance(&run, Durability::Process, &[compensate(false)]));
    store
        .advance(
            &run,
            Durability::Process,
            &[Change::run(RunState::Compensating), compensate(false)],
        )
        .unwrap();
    // Killed in between.
    refused(store.advance(&run, Durability::Process, &[compensate(false)]));
    store
        .advance(&run, Durability::Process, &[compensate(true)])
        .unwrap();
    let end = |attempt| Change::EndCompensation {
        step: "a".to_owned(),
        attempt,
        outcome: CompensationOutcome::Compensated,
    };
    refused(store.advance(&run, Durability::Process, &[end(1)]));
    store
        .advance(
            &run,
            Durability::Power,
            &[end(2), Change::Finish(RunOutcome::Cancelled)],
        )
        .unwrap();
    let detail = store.run_detail(&run).unwrap();
    assert_eq!(detail.run.state, RunState::Cancelled);
    let states: Vec<_> = detail.steps.iter().map(|step| step.state).collect();
    assert_eq!(
        states,
        [
            StepState::Compensated,
            StepState::Cancelled,
            StepState::Cancelled
        ]
    );
}

#[test]
fn an_approval_that_nobody_needs_any_more_is_withdrawn() {
    let place = Place::new();
    let store = &place.store;
    let run = running(store, &["a"]);
    let ask = Change::RequestApproval {
        step: "a".to_owned(),
        input: json!({}),
        digest: "d".to_owned(),
        plan: json!({}),
    };
    store.advance(&run, Durability::Process, &[ask]).unwrap();
    store
        .request_cancel(&run, None, &audit("run.cancel"))
        .unwrap();
    store.finish_run(&run, RunOutcome::Cancelled).unwrap();
    assert_eq!(
        store.approval(&run, "a").unwrap().state,
        ApprovalState::Withdrawn
    );
    refused(store.decide_approval(&run, "a", "d", Decision::Approve, None, &audit("x")));
}

#[test]
fn an_operation_is_begun_once_and_its_result_is_kept() {
    let place = Place::new();
    let store = &place.store;
    let run = running(store, &["a"]);
    let request = json!({ "program": "qemu", "arguments": ["-m", "512"] });
    refused(store.begin_operation(&run, "a", "boot", &request));
    store.begin_attempt(&run, attempt("a")).unwrap();
    let (begun, events) = store.begin_operation(&run, "a", "boot", &request).unwrap();
    let key = operation_key(&run, "a", "boot", 0);
    assert_eq!(key.len(), 32);
    assert_eq!(begun, OperationBegun::New { key: key.clone() });
    assert_eq!(kinds(&events), ["operation.started"]);
    // The order of an object's keys means nothing.
    let same = json!({ "arguments": ["-m", "512"], "program": "qemu" });
    let (begun, events) = store.begin_operation(&run, "a", "boot", &same).unwrap();
    assert_eq!(begun, OperationBegun::Started { key: key.clone() });
    assert!(events.is_empty());
    refused(store.begin_operation(&run, "a", "boot", &json!({})));

    let result = json!({ "exit": 0 });
    store.finish_operation(&key, &result).unwrap();
    assert!(store.finish_operation(&key, &result).unwrap().is_empty());
    refused(store.finish_operation(&key, &json!({ "exit": 1 })));
    refused(store.lose_operation(&key));
    let (begun, _) = store.begin_operation(&run, "a", "boot", &request).unwrap();
    assert_eq!(
        begun,
        OperationBegun::Finished {
            key: key.clone(),
            result
        }
    );
    assert!(matches!(
        store.finish_operation("00", &json!({})),
        Err(StoreError::NotFound { .. })
    ));
    assert_eq!(store.operations(&run).unwrap().len(), 1);
}

#[test]
fn a_lost_operation_parks_and_a_resumed_one_is_new() {
    let place = Place::new();
    let store = &place.store;
    let run = running(store, &["a"]);
    store.begin_attempt(&run, attempt("a")).unwrap();
    let request = json!({});
    store.begin_operation(&run, "a", "kept", &request).unwrap();
    let kept = operation_key(&run, "a", "kept", 0);
    store.finish_operation(&kept, &json!(1)).unwrap();
    store.begin_operation(&run, "a", "gone", &request).unwrap();
    let gone = operation_key(&run, "a", "gone", 0);
    store.lose_operation(&gone).unwrap();
    assert!(store.lose_operation(&gone).unwrap().is_empty());
    let (begun, _) = store.begin_operation(&run, "a", "gone", &request).unwrap();
    assert_eq!(begun, OperationBegun::Lost { key: gone.clone() });

    let parked = AttemptOutcome::NeedsAttention {
        error: problem("nobody knows how qemu ended"),
    };
    store.end_attempt(&run, "a", 1, parked, vec![]).unwrap();
    let attention = Change::Run {
        state: RunState::NeedsAttention,
        attention: Some("look at step a".to_owned()),
        error: None,
    };
    store
        .advance(&run, Durability::Process, &[attention])
        .unwrap();
    assert_eq!(
        store.run(&run).unwrap().attention.as_deref(),
        Some("look at step a")
    );
    refused(store.begin_attempt(&run, attempt("a")));
    let events = store.resume_run(&run, &audit("run.resume")).unwrap();
    assert_eq!(
        kinds(&events),
        ["operation.abandoned", "step.pending", "run.resumed"]
    );
    assert_eq!(store.run(&run).unwrap().attention, None);
    store.begin_attempt(&run, attempt("a")).unwrap();
    let (begun, _) = store.begin_operation(&run, "a", "gone", &request).unwrap();
    let anew = operation_key(&run, "a", "gone", 1);
    assert_ne!(anew, gone);
    assert_eq!(begun, OperationBegun::New { key: anew });
    let (begun, _) = store.begin_operation(&run, "a", "kept", &request).unwrap();
    assert!(matches!(begun, OperationBegun::Finished { .. }));
    assert_eq!(
        store.operation(&gone).unwrap().state,
        OperationState::Abandoned
    );
}

#[test]
fn a_retried_run_keeps_what_succeeded() {
    let place = Place::new();
    let store = &place.store;
    let run = running(store, &["a", "b", "c"]);
    succeed(store, &run, "a");
    store.begin_attempt(&run, attempt("b")).unwrap();
    store
        .begin_operation(&run, "b", "tool", &json!({}))
        .unwrap();
    store
        .finish_operation(&operation_key(&run, "b", "tool", 0), &json!({ "exit": 1 }))
        .unwrap();
    let failed = AttemptOutcome::Failed {
        error: problem("exit 1"),
    };
    store.end_attempt(&run, "b", 1, failed, vec![]).unwrap();
    store
        .finish_run(
            &run,
            RunOutcome::Failed {
                error: problem("b failed"),
            },
        )
        .unwrap();
    assert!(store.unfinished_runs(None, 10).unwrap().is_empty());

    store.retry_run(&run, &audit("run.retry")).unwrap();
    let detail = store.unfinished_runs(None, 10).unwrap().remove(0);
    assert_eq!(detail.run.state, RunState::Running);
    assert_eq!((detail.run.error, detail.run.finished), (None, None));
    let states: Vec<_> = detail.steps.iter().map(|step| step.state).collect();
    assert_eq!(
        states,
        [StepState::Succeeded, StepState::Pending, StepState::Pending]
    );
    assert_eq!(detail.steps[0].output, Some(json!({ "exit": 0 })));
    assert_eq!((detail.steps[1].attempt, detail.steps[1].failures), (1, 0));
    let begun = store.begin_attempt(&run, attempt("b")).unwrap();
    assert_eq!(begun[0].attempt, Some(2));
    // Not the result of the time before.
    let (begun, _) = store
        .begin_operation(&run, "b", "tool", &json!({}))
        .unwrap();
    assert!(matches!(begun, OperationBegun::New { .. }));
}

#[test]
fn a_parked_compensation_goes_on_after_a_resume() {
    let place = Place::new();
    let store = &place.store;
    let run = running(store, &["a", "b"]);
    succeed(store, &run, "a");
    let compensating = Change::Run {
        state: RunState::Compensating,
        attention: None,
        error: Some(problem("b failed")),
    };
    let park = Change::Run {
        state: RunState::NeedsAttention,
        attention: Some("look".to_owned()),
        error: None,
    };
    store
        .advance(&run, Durability::Process, &[compensating, park])
        .unwrap();
    store.resume_run(&run, &audit("run.resume")).unwrap();
    let found = store.run(&run).unwrap();
    assert_eq!(found.state, RunState::Compensating);
    assert_eq!(found.error.unwrap().message, "b failed");
}

#[test]
fn a_request_that_started_a_run_is_found_after_a_crash() {
    let place = Place::new();
    let store = &place.store;
    let key = IdempotencyKey {
        actor: "ada".to_owned(),
        key: "k1".to_owned(),
    };
    let mut new = new_run(&["a"]);
    new.idempotency = Some(key.clone());
    assert!(matches!(
        store.create_run(&new, &audit("run.start")),
        Err(StoreError::NotFound { .. })
    ));
    assert!(
        store.run(&new.id).is_err(),
        "nothing of a refused creation stays"
    );
    let claim = || store.claim_request(&key, "POST /runs", "digest").unwrap();
    assert_eq!(claim(), IdempotencyClaim::New);
    assert!(matches!(
        claim(),
        IdempotencyClaim::InProgress { run: None, .. }
    ));
    store.create_run(&new, &audit("run.start")).unwrap();
    store.release_request(&key).unwrap();
    store.release_stale_requests(Time(i64::MAX)).unwrap();
    assert!(
        matches!(claim(), IdempotencyClaim::InProgress { run: Some(run), .. } if run == new.id)
    );
    let answer = KeptAnswer {
        status: 201,
        headers: [("location".to_owned(), "/runs/1".to_owned())].into(),
        body: b"{}".to_vec(),
    };
    store.complete_request(&key, &answer).unwrap();
    assert_eq!(claim(), IdempotencyClaim::Done(answer));
    assert_eq!(
        store.claim_request(&key, "POST /runs", "other").unwrap(),
        IdempotencyClaim::Mismatch
    );
    assert!(matches!(
        store.complete_request(&key, &KeptAnswer::default()),
        Err(StoreError::NotFound { .. })
    ));
    let stale = IdempotencyKey {
        key: "k2".to_owned(),
        ..key.clone()
    };
    store.claim_request(&stale, "POST /x", "digest").unwrap();
    assert_eq!(store.release_stale_requests(Time(i64::MAX)).unwrap(), 1);
    assert_eq!(
        store.claim_request(&stale, "POST /x", "digest").unwrap(),
        IdempotencyClaim::New
    );
}
