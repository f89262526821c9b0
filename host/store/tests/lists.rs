//! Lists: filters, pages, events and logs after an id.

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
    EventFilter, LogFilter, LogLevel, NewLogLine, PageRequest, RunFilter, RunState, Store,
    StoreError, Time,
};
use common::{Place, attempt, audit, new_run, running, succeed};
use serde_json::json;

/// All ids that a filter finds, page by page.
fn ids(store: &Store, filter: &RunFilter, limit: u32) -> Vec<String> {
    let mut found = Vec::new();
    let mut page = PageRequest {
        limit,
        cursor: None,
    };
    loop {
        let part = store.runs(filter, &page).unwrap();
        assert!(part.items.len() <= limit as usize);
        found.extend(part.items.into_iter().map(|run| run.id));
        match part.next {
            None => return found,
            next => page.cursor = next,
        }
    }
}

#[test]
fn runs_are_found_by_every_filter_in_every_page_size() {
    let place = Place::new();
    let store = &place.store;
    let mut runs: Vec<String> = Vec::new();
    for number in 0..30 {
        let mut run = new_run(&["a"]);
        run.project = ["red", "green", "blue"][number % 3].to_owned();
        run.workflow = ["nightly", "migrate"][number % 2].to_owned();
        run.actor = ["ada", "bob"][number / 15].to_owned();
        run.labels = BTreeMap::from([("n".to_owned(), (number % 5).to_string())]);
        if number == 7 {
            run.parent = Some(runs[0].clone());
        }
        store.create_run(&run, &audit("run.start")).unwrap();
        if number % 4 == 0 {
            store.set_run_state(&run.id, RunState::Running).unwrap();
        }
        runs.push(run.id.clone());
    }
    runs.reverse();
    let picked = |keep: &dyn Fn(usize) -> bool| -> Vec<String> {
        (0..30)
            .rev()
            .filter(|number| keep(*number))
            .map(|number| runs[29 - number].clone())
            .collect()
    };
    let text = |text: &str| Some(text.to_owned());
    let none = RunFilter::default;
    let cases: Vec<(RunFilter, Vec<String>)> = vec![
        (none(), picked(&|_| true)),
        (
            RunFilter {
                projects: Some(vec![]),
                ..none()
            },
            vec![],
        ),
        (
            RunFilter {
                projects: Some(vec!["red".to_owned()]),
                ..none()
            },
            picked(&|number| number % 3 == 0),
        ),
        (
            RunFilter {
                projects: Some(vec!["red".to_owned(), "blue".to_owned()]),
                ..none()
            },
            picked(&|number| number % 3 != 1),
        ),
        (
            RunFilter {
                states: vec![RunState::Running],
                ..none()
            },
            picked(&|number| number % 4 == 0),
        ),
        (
            RunFilter {
                states: vec![RunState::Running, RunState::Failed],
                projects: Some(vec!["red".to_owned()]),
                ..none()
            },
            picked(&|number| number % 12 == 0),
        ),
        (
            RunFilter {
                workflow: text("migrate"),
                actor: text("bob"),
                ..none()
            },
            picked(&|number| number % 2 == 1 && number >= 15),
        ),
        (
            RunFilter {
                labels: BTreeMap::from([("n".to_owned(), "3".to_owned())]),
                ..none()
            },
            picked(&|number| number % 5 == 3),
        ),
        (
            RunFilter {
                labels: BTreeMap::from([("m".to_owned(), "3".to_owned())]),
                ..none()
            },
            vec![],
        ),
        (
            RunFilter {
                parent: Some(runs[29].clone()),
                ..none()
            },
            picked(&|number| number == 7),
        ),
        (
            RunFilter {
                since: Some(Time(0)),
                ..none()
            },
            picked(&|_| true),
        ),
        (
            RunFilter {
                until: Some(Time(1)),
                ..none()
            },
            vec![],
        ),
    ];
    for (filter, expected) in cases {
        for limit in [1, 3, 7, 30, 1000] {
            assert_eq!(
                ids(store, &filter, limit),
                expected,
                "{filter:?} by {limit}"
            );
        }
    }
    assert_eq!(store.projects().unwrap(), ["blue", "green", "red"]);
    let counts = store.run_counts().unwrap();
    assert_eq!(
        (counts[&RunState::Running], counts[&RunState::Pending]),
        (8, 22)
    );
}

#[test]
fn limits_out_of_range_are_refused() {
    let place = Place::new();
    let store = &place.store;
    for limit in [0, 1001] {
        let page = PageRequest {
            limit,
            cursor: None,
        };
        for result in [
            store.runs(&RunFilter::default(), &page).map(drop),
            store.approvals(&Default::default(), &page).map(drop),
            store.audit(&Default::default(), &page).map(drop),
            store.events(0, &EventFilter::default(), limit).map(drop),
            store.logs("run", 0, &LogFilter::default(), limit).map(drop),
            store.unfinished_runs(None, limit).map(drop),
        ] {
            assert!(matches!(result, Err(StoreError::Invalid { .. })));
        }
    }
}

#[test]
fn a_summary_counts_the_steps() {
    let place = Place::new();
    let store = &place.store;
    let run = running(store, &["a", "b", "c", "d"]);
    succeed(store, &run, "a");
    store.begin_attempt(&run, attempt("b")).unwrap();
    store
        .skip_steps(&run, &["c".to_owned()], "not today")
        .unwrap();
    let page = store
        .runs(&RunFilter::default(), &PageRequest::default())
        .unwrap();
    let steps = page.items[0].steps;
    assert_eq!(
        (
            steps.total,
            steps.succeeded,
            steps.running,
            steps.skipped,
            steps.failed
        ),
        (4, 1, 1, 1, 0)
    );
}

#[test]
fn unfinished_runs_come_in_batches() {
    let place = Place::new();
    let store = &place.store;
    let mut expected = Vec::new();
    for number in 0..25 {
        let run = running(store, &["a"]);
        if number % 5 == 0 {
            store
                .request_cancel(&run, None, &audit("run.cancel"))
                .unwrap();
            store
                .finish_run(&run, cofferdam_store::RunOutcome::Cancelled)
                .unwrap();
        } else {
            expected.push(run);
        }
    }
    let mut found = Vec::new();
    loop {
        let after = found.last().map(String::as_str);
        let batch = store.unfinished_runs(after, 6).unwrap();
        if batch.is_empty() {
            break;
        }
        found.extend(batch.into_iter().map(|detail| detail.run.id));
    }
    assert_eq!(found, expected);
    assert_eq!(store.digests_in_use().unwrap(), ["sha"]);
}

#[test]
fn events_after_an_id_miss_nothing_and_repeat_nothing() {
    let place = Place::new();
    let store = &place.store;
    let mut runs = Vec::new();
    for number in 0..12 {
        let mut run = new_run(&["a"]);
        run.project = ["red", "green"][number % 2].to_owned();
        store.create_run(&run, &audit("run.start")).unwrap();
        store.set_run_state(&run.id, RunState::Running).unwrap();
        succeed(store, &run.id, "a");
        runs.push(run.id);
    }
    let everything = store.events(0, &EventFilter::default(), 1000).unwrap();
    assert_eq!(everything.len(), 12 * 5);
    assert_eq!(everything.last().unwrap().id, store.newest_event().unwrap());
    let kinds = |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect();
    let filters = [
        EventFilter::default(),
        EventFilter {
            run: Some(runs[3].clone()),
            ..EventFilter::default()
        },
        EventFilter {
            kinds: kinds(&["step."]),
            ..EventFilter::default()
        },
        EventFilter {
            kinds: kinds(&["step.started", "run."]),
            ..EventFilter::default()
        },
        EventFilter {
            kinds: kinds(&["step"]),
            ..EventFilter::default()
        },
        EventFilter {
            run: Some(runs[4].clone()),
            projects: Some(vec!["red".to_owned()]),
            kinds: kinds(&["run.created"]),
        },
        EventFilter {
            projects: Some(vec!["green".to_owned()]),
            ..EventFilter::default()
        },
        EventFilter {
            projects: Some(vec![]),
            ..EventFilter::default()
        },
    ];
    for filter in filters {
        // What a stream that filters for itself would pass on.
        let expected: Vec<_> = everything
            .iter()
            .filter(|event| filter.fits(event))
            .cloned()
            .collect();
        for limit in [1, 7, 1000] {
            let mut found: Vec<cofferdam_store::Event> = Vec::new();
            loop {
                let after = found.last().map_or(0, |event| event.id);
                let page = store.events(after, &filter, limit).unwrap();
                if page.is_empty() {
                    break;
                }
                found.extend(page);
            }
            assert_eq!(found, expected, "{filter:?} by {limit}");
        }
    }
}

#[test]
fn logs_are_found_by_every_filter() {
    let place = Place::new();
    let store = &place.store;
    let run = running(store, &["a"]);
    let line = |number: usize| NewLogLine {
        run: run.clone(),
        step: number.is_multiple_of(2).then(|| "a".to_owned()),
        plugin: number.is_multiple_of(3).then(|| "command".to_owned()),
        level: LogLevel::ALL[number % 5],
        message: format!("line {number} 100%_ “ü”"),
        fields: json!({ "n": number }),
        at: Time(i64::try_from(number).unwrap()),
    };
    let mut written = store.append_log((0..20).map(line).collect()).unwrap();
    written.extend(store.append_log((20..45).map(line).collect()).unwrap());
    assert!(store.append_log(vec![]).unwrap().is_empty());
    let mut other = line(0);
    other.run = "run-other".to_owned();
    store.append_log(vec![other]).unwrap();
    assert!(written.windows(2).all(|pair| pair[0].id < pair[1].id));
    let filters = [
        LogFilter::default(),
        LogFilter {
            step: Some("a".to_owned()),
            ..LogFilter::default()
        },
        LogFilter {
            plugin: Some("command".to_owned()),
            ..LogFilter::default()
        },
        LogFilter {
            level: Some(LogLevel::Warn),
            ..LogFilter::default()
        },
        LogFilter {
            level: Some(LogLevel::Trace),
            ..LogFilter::default()
        },
        LogFilter {
            contains: Some("line 1".to_owned()),
            ..LogFilter::default()
        },
        LogFilter {
            contains: Some("%_ “".to_owned()),
            ..LogFilter::default()
        },
        LogFilter {
            contains: Some("LINE".to_owned()),
            ..LogFilter::default()
        },
        LogFilter {
            step: Some("a".to_owned()),
            level: Some(LogLevel::Error),
            contains: Some("4".to_owned()),
            ..LogFilter::default()
        },
    ];
    for filter in filters {
        let expected: Vec<_> = written
            .iter()
            .filter(|line| filter.fits(line))
            .cloned()
            .collect();
        for limit in [1, 9, 1000] {
            let mut found: Vec<cofferdam_store::LogLine> = Vec::new();
            loop {
                let after = found.last().map_or(0, |line| line.id);
                let page = store.logs(&run, after, &filter, limit).unwrap();
                if page.is_empty() {
                    break;
                }
                found.extend(page);
            }
            assert_eq!(found, expected, "{filter:?} by {limit}");
        }
    }
}
