//! Workflow steps recorded and replayed, and what is kept of the secrets they were given.

use crate::doubles::{Outside, Run, at, call, files, filters, returned, services, step};
use cofferdam_contract::kinds::{Call, StepServices, WorkflowStep};
use cofferdam_contract::services::OutboundRequest;
use cofferdam_contract::types::{Error, ToolArgument, ToolRequest};
use cofferdam_filters::{Recording, Subject, Verdict, replay};
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn request(argument: &str) -> ToolRequest {
    ToolRequest {
        operation: "go".to_owned(),
        program: "echo".to_owned(),
        arguments: vec![ToolArgument::Text(argument.to_owned())],
        stop_when: Vec::new(),
        timeout_ms: 1_000,
    }
}

/// Runs a program, looks at the clock, keeps a file.
fn running(argument: &'static str) -> Arc<dyn WorkflowStep> {
    step(
        "d",
        move |call: Call, services: StepServices, input| async move {
            let failed = |error: Error| returned("execute", error);
            let began = call.context.now().seconds;
            let outcome = services
                .tools
                .run(request(argument))
                .await
                .map_err(failed)?;
            let kept = services.tools.keep("f", "log").await.map_err(failed)?;
            let took = call.context.now().seconds - began;
            if call.context.cancelled() {
                let error = Error::new(cofferdam_contract::types::ErrorCode::Cancelled, "so");
                return Err(failed(error));
            }
            Ok(format!("{input} {} {kept} {took}", outcome.tail))
        },
    )
}

#[tokio::test]
async fn every_function_of_a_step_is_recorded_and_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = filters(&at("record", "folder", folder.path()))
        .wrap_step(running("a"))
        .unwrap();
    let (run, outside) = (Arc::new(Run::default()), Arc::new(Outside::default()));
    let given = || services(&outside);
    plugin
        .validate(call(&run), given(), "wrong")
        .await
        .unwrap_err();
    plugin.plan(call(&run), given(), "i").await.unwrap();
    let output = plugin.execute(call(&run), given(), "i").await.unwrap();
    let undone = plugin.compensate(call(&run), given(), "i", Some(&output));
    undone.await.unwrap();
    let recordings = Recording::read_all(folder.path()).unwrap();
    let functions: Vec<&str> = recordings.iter().map(|(_, it)| it.function()).collect();
    assert_eq!(functions, ["validate", "plan", "execute", "compensate"]);
    assert_eq!(outside.runs.lock().unwrap().len(), 1);
    for ((_, recording), exchanges) in recordings.iter().zip([0, 0, 4, 0]) {
        let again = replay(recording, &Subject::Step(running("a")))
            .await
            .unwrap();
        let whole = true;
        assert_eq!(again, Verdict::Identical { exchanges, whole });
    }
    // Nothing was run for that.
    assert_eq!(outside.runs.lock().unwrap().len(), 1);
    let other = Subject::Step(running("b"));
    match replay(&recordings[2].1, &other).await.unwrap() {
        Verdict::Diverged(found) => {
            assert_eq!((found.after, found.function.as_str()), (1, "tool.run"));
            let place = "/arguments/request/arguments/0/Text: \"a\" and \"b\"";
            assert!(found.place.contains(place), "{}", found.place);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_run_is_cancelled_at_the_same_place_again() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = filters(&at("record", "folder", folder.path()))
        .wrap_step(running("a"))
        .unwrap();
    let (run, outside) = (Arc::new(Run::default()), Arc::default());
    run.cancelled.store(true, Ordering::Relaxed);
    let result = plugin.execute(call(&run), services(&outside), "i").await;
    result.unwrap_err();
    let recording = Recording::read(&files(folder.path())[0]).unwrap();
    let again = replay(&recording, &Subject::Step(running("a"))).await;
    let (exchanges, whole) = (4, true);
    assert_eq!(again.unwrap(), Verdict::Identical { exchanges, whole });
}

#[tokio::test]
async fn recordings_answer_for_a_step_and_nothing_outside_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = filters(&at("record", "folder", folder.path()))
        .wrap_step(running("a"))
        .unwrap();
    let (run, outside) = (Arc::new(Run::default()), Arc::default());
    let mut recorded = Vec::new();
    for _ in 0..2 {
        let result = plugin.execute(call(&run), services(&outside), "i").await;
        recorded.push(result.unwrap());
        run.clock.fetch_add(100, Ordering::Relaxed);
    }
    let plan = plugin.plan(call(&run), services(&outside), "i").await;

    let never = step("d", |_, _, _| async { panic!("the plugin was called") });
    let plugin = filters(&at("replay", "from", folder.path()))
        .wrap_step(never)
        .unwrap();
    let outside = Arc::new(Outside::default());
    let mut answers = Vec::new();
    for _ in 0..3 {
        let result = plugin.execute(call(&run), services(&outside), "i").await;
        answers.push(result.unwrap());
    }
    assert_eq!(answers, [&recorded[0][..], &recorded[1], &recorded[1]]);
    let planned = plugin.plan(call(&run), services(&outside), "i").await;
    assert_eq!(planned, plan);
    assert!(outside.runs.lock().unwrap().is_empty());

    let other = plugin.execute(call(&run), services(&outside), "j").await;
    let message = other.unwrap_err().to_string();
    assert!(
        message.contains("/execute/input: \"i\" and \"j\""),
        "{message}"
    );
    let none = plugin.compensate(call(&run), services(&outside), "i", None);
    let message = none.await.unwrap_err().to_string();
    assert!(message.contains("no recording of compensate"), "{message}");
}

/// Asks for two requests, the second only where the first one may be sent.
fn sending(first: &'static str, second: &'static str) -> Arc<dyn WorkflowStep> {
    step("d", move |_, services: StepServices, _| async move {
        let request = |host: &str| OutboundRequest {
            method: "GET".to_owned(),
            scheme: "https".to_owned(),
            host: host.to_owned(),
            port: 443,
            path: "/".to_owned(),
        };
        for host in [first, second] {
            services.http.request(&request(host)).ok();
        }
        Ok("{}".to_owned())
    })
}

#[tokio::test]
async fn requests_are_compared_up_to_the_first_that_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = filters(&at("record", "folder", folder.path()))
        .wrap_step(sending("forbidden", "there"))
        .unwrap();
    let (run, outside) = (Arc::new(Run::default()), Arc::default());
    let result = plugin.execute(call(&run), services(&outside), "{}").await;
    result.unwrap();
    let recording = Recording::read(&files(folder.path())[0]).unwrap();
    let again = |step| {
        let recording = recording.clone();
        async move { replay(&recording, &Subject::Step(step)).await.unwrap() }
    };
    let (exchanges, whole) = (2, false);
    assert_eq!(
        again(sending("forbidden", "there")).await,
        Verdict::Identical { exchanges, whole }
    );
    match again(sending("forbidden", "elsewhere")).await {
        Verdict::Diverged(found) => {
            assert_eq!((found.after, found.function.as_str()), (1, "http.request"));
            let place = "/arguments/host: \"there\" and \"elsewhere\"";
            assert!(found.place.contains(place), "{}", found.place);
        }
        other => panic!("{other:?}"),
    }
}
