//! A workflow step that is a component.
//!
//! Looking must have no effect: during `validate` and `plan` the services behind the
//! granted interfaces are such that refuse.

use super::nonsense::Check;
use super::{ComponentPlugin, extensions, mistyped, provide, returned};
use async_trait::async_trait;
use cofferdam_contract::bindings::exports::cofferdam::plugin::step::{Guest, GuestIndices};
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::{Call, MOST_STEP_JSON, StepServices, WorkflowStep};
use cofferdam_contract::services::{Outbound, OutboundRequest, Secrets, Tools};
use cofferdam_contract::types::{Error, ErrorCode, StepPlan, ToolOutcome, ToolRequest};
use cofferdam_runtime::{Extensions, GuestFuture, State};
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::sync::Arc;
use wasmtime::Store;

/// Stands behind the granted interfaces where nothing may be done yet.
struct OnlyLooking;

impl OnlyLooking {
    fn refuse<T>(what: &str) -> Result<T, Error> {
        Err(Error::new(
            ErrorCode::Denied,
            format!("{what} during validate or plan, which must have no effect"),
        )
        .with_hint("do it in execute; it is a fault of the plugin, tell its author"))
    }
}

#[async_trait]
impl Tools for OnlyLooking {
    async fn run(&self, request: ToolRequest) -> Result<ToolOutcome, Error> {
        Self::refuse(&format!("the program {} was to be run", request.program))
    }
    async fn keep(&self, file: &str, _: &str) -> Result<String, Error> {
        Self::refuse(&format!("the file {file} was to be kept"))
    }
}

#[async_trait]
impl Secrets for OnlyLooking {
    async fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        Self::refuse(&format!("the secret {name} was asked for"))
    }
}

impl Outbound for OnlyLooking {
    fn request(&self, request: &OutboundRequest) -> Result<(), Error> {
        Self::refuse(&format!("a request was to be sent to {}", request.host))
    }
    fn address(&self, host: &str, _: IpAddr) -> Result<(), Error> {
        Self::refuse(&format!("a request was to be sent to {host}"))
    }
}

/// What an instance is given that may act.
fn acting(call: &Call, services: StepServices) -> Extensions {
    let mut given = extensions(call);
    provide(&mut given, services.tools);
    provide(&mut given, services.secrets);
    provide(&mut given, services.http);
    given
}

/// What an instance is given that only looks.
fn looking(call: &Call) -> Extensions {
    let mut given = extensions(call);
    provide::<dyn Tools>(&mut given, Arc::new(OnlyLooking));
    provide::<dyn Secrets>(&mut given, Arc::new(OnlyLooking));
    provide::<dyn Outbound>(&mut given, Arc::new(OnlyLooking));
    given
}

/// The most changes of one plan.
const MOST_CHANGES: usize = 1_000;

/// The longest summary of a plan, and the most text of all its changes, bytes.
const MOST_SUMMARY: usize = 4 << 10;
const MOST_PLAN: usize = 1 << 20;

/// `plan`.
fn check_plan(plan: &StepPlan) -> Check {
    if plan.summary.trim().is_empty() || plan.summary.len() > MOST_SUMMARY {
        return Err(format!(
            "a summary of {} bytes, where a sentence of at most {MOST_SUMMARY} is asked for",
            plan.summary.len()
        ));
    }
    let changes = plan.changes.len();
    if changes > MOST_CHANGES {
        return Err(format!(
            "a plan of {changes} changes, more than {MOST_CHANGES}"
        ));
    }
    let texts = plan.changes.iter();
    let bytes: usize = texts
        .map(|change| change.action.len() + change.subject.len() + change.detail.len())
        .sum();
    if bytes > MOST_PLAN {
        return Err(format!("a plan of {bytes} bytes, more than {MOST_PLAN}"));
    }
    let nameless = plan
        .changes
        .iter()
        .any(|change| change.action.trim().is_empty() || change.subject.trim().is_empty());
    if nameless {
        return Err("a change without an action or without a subject".to_owned());
    }
    Ok(())
}

/// `execute`.
fn check_output(output: &str) -> Check {
    if output.len() > MOST_STEP_JSON {
        return Err(format!(
            "an output of {} bytes, more than {MOST_STEP_JSON}; keep what is large as an artifact",
            output.len()
        ));
    }
    // Read as those who use it read it, nesting limit included.
    serde_json::from_str::<Map<String, Value>>(output)
        .map(|_| ())
        .map_err(|error| format!("an output that is no JSON object: {error}"))
}

impl ComponentPlugin<GuestIndices> {
    fn checked(&self, call: &str, check: Check) -> Result<(), CallError> {
        check.map_err(|reason| CallError::Nonsense {
            callee: self.callee(call),
            reason,
        })
    }

    /// Calls one function of a fresh instance.
    async fn step<R, F>(
        &self,
        name: &'static str,
        call: Call,
        given: Extensions,
        function: F,
    ) -> Result<R, CallError>
    where
        R: Send + 'static,
        F: for<'a> FnOnce(&'a mut Store<State>, Guest) -> GuestFuture<'a, Result<R, Error>>
            + Send
            + 'static,
    {
        let exports = self.exports().await?;
        let result = self
            .code
            .call_once(name, call.context, given, move |store, instance| {
                Box::pin(async move {
                    let guest = exports.load(&mut *store, instance).map_err(mistyped)?;
                    function(store, guest).await
                })
            })
            .await?;
        returned(|| self.callee(name), result)
    }
}

#[async_trait]
impl WorkflowStep for ComponentPlugin<GuestIndices> {
    async fn validate(&self, call: Call, _: StepServices, input: &str) -> Result<(), CallError> {
        let (given, input) = (looking(&call), input.to_owned());
        self.step("validate", call, given, |store, guest| {
            Box::pin(async move { guest.call_validate(store, &input).await })
        })
        .await
    }

    async fn plan(&self, call: Call, _: StepServices, input: &str) -> Result<StepPlan, CallError> {
        let (given, input) = (looking(&call), input.to_owned());
        let plan = self
            .step("plan", call, given, |store, guest| {
                Box::pin(async move { guest.call_plan(store, &input).await })
            })
            .await?;
        self.checked("plan", check_plan(&plan))?;
        Ok(plan)
    }

    async fn execute(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<String, CallError> {
        let (given, input) = (acting(&call, services), input.to_owned());
        let output = self
            .step("execute", call, given, |store, guest| {
                Box::pin(async move { guest.call_execute(store, &input).await })
            })
            .await?;
        self.checked("execute", check_output(&output))?;
        Ok(output)
    }

    async fn compensate(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
        output: Option<&str>,
    ) -> Result<(), CallError> {
        let (given, input) = (acting(&call, services), input.to_owned());
        let output = output.map(str::to_owned);
        self.step("compensate", call, given, |store, guest| {
            Box::pin(async move {
                guest
                    .call_compensate(store, &input, output.as_deref())
                    .await
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_contract::types::PlannedChange;

    #[test]
    fn outputs_are_json_objects_of_bounded_size() {
        for good in ["{}", " {\"a\": [1, null]}\n"] {
            assert_eq!(check_output(good), Ok(()), "{good}");
        }
        for bad in ["", "[]", "1", "null", "{", "{} {}", "{\"a\"}", "{a: 1}"] {
            let reason = check_output(bad).unwrap_err();
            assert!(reason.contains("no JSON object"), "{bad}: {reason}");
        }
        let filler = "a".repeat(MOST_STEP_JSON);
        let reason = check_output(&format!("{{\"a\":\"{filler}\"}}")).unwrap_err();
        assert!(reason.contains("more than 1048576"), "{reason}");
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(check_output(&deep).is_err(), "nested without end");
    }

    #[test]
    fn plans_say_what_they_do() {
        let change = |action: &str, subject: &str, detail: &str| PlannedChange {
            action: action.to_owned(),
            subject: subject.to_owned(),
            detail: detail.to_owned(),
        };
        let plan = |summary: &str, changes: Vec<PlannedChange>| StepPlan {
            summary: summary.to_owned(),
            changes,
        };
        assert_eq!(check_plan(&plan("Nothing to do", Vec::new())), Ok(()));
        assert_eq!(
            check_plan(&plan("Runs it", vec![change("run", "echo", "")])),
            Ok(())
        );
        let many = vec![change("run", "echo", ""); MOST_CHANGES + 1];
        let long = "a".repeat(MOST_PLAN);
        let cases = [
            (plan(" ", Vec::new()), "a summary of 1 bytes"),
            (plan(&"a".repeat(MOST_SUMMARY + 1), Vec::new()), "a summary"),
            (plan("s", many), "1001 changes"),
            (
                plan("s", vec![change("run", "echo", &long)]),
                "1048583 bytes",
            ),
            (plan("s", vec![change("", "echo", "")]), "without an action"),
            (plan("s", vec![change("run", " ", "")]), "without a subject"),
        ];
        for (plan, expected) in cases {
            let reason = check_plan(&plan).unwrap_err();
            assert!(reason.contains(expected), "{reason}");
        }
    }
}
