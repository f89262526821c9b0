//! A secret that a step was given is in no recording, and a replay goes on without it.

use crate::doubles::{Outside, Run, SECRET, at, call, files, filters, returned, services, step};
use cofferdam_contract::kinds::{Call, StepServices, WorkflowStep};
use cofferdam_contract::types::{Error, Level, ToolArgument, ToolRequest};
use cofferdam_filters::{Recording, Subject, Verdict, replay};
use std::sync::Arc;

/// Puts its secret wherever a step can.
fn careless() -> Arc<dyn WorkflowStep> {
    step(
        "d",
        |call: Call, services: StepServices, input| async move {
            let failed = |error: Error| returned("execute", error);
            services.secrets.get("other").await.unwrap_err();
            let secret = services.secrets.get("db").await.map_err(failed)?;
            let secret = String::from_utf8(secret).unwrap();
            let fields = [("password".to_owned(), secret.clone())];
            let line = format!("I know {secret}");
            call.context.log("p", Level::Info, &line, &fields);
            let request = ToolRequest {
                operation: "go".to_owned(),
                program: "echo".to_owned(),
                arguments: vec![ToolArgument::Text(format!("--password={secret}"))],
                stop_when: Vec::new(),
                timeout_ms: 1_000,
            };
            let outcome = services.tools.run(request).await.map_err(failed)?;
            Ok(format!("{input} {secret} {}", outcome.tail))
        },
    )
}

#[tokio::test]
async fn secrets_are_in_no_recording() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = filters(&at("record", "folder", folder.path()))
        .wrap_step(careless())
        .unwrap();
    let (run, outside) = (Arc::new(Run::default()), Arc::new(Outside::default()));
    // The value is written down before the plugin asks for it, too.
    let input = format!("{{\"old\":\"{SECRET}\"}}");
    let output = plugin.execute(call(&run), services(&outside), &input).await;
    assert!(
        output.unwrap().contains(SECRET),
        "the call itself is as it was"
    );

    let file = &files(folder.path())[0];
    let text = std::fs::read_to_string(file).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    assert_eq!(text.matches("--password=<secret:db>").count(), 3, "{text}");
    assert!(text.contains("\"name\":\"db\""), "{text}");

    let recording = Recording::read(file).unwrap();
    let again = replay(&recording, &Subject::Step(careless())).await;
    let (exchanges, whole) = (3, true);
    assert_eq!(again.unwrap(), Verdict::Identical { exchanges, whole });
}

#[tokio::test]
async fn a_recording_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("a/b");
    let plugin = filters(&at("record", "folder", &made))
        .wrap_step(careless())
        .unwrap();
    let (run, outside) = (Arc::default(), Arc::default());
    let result = plugin.execute(call(&run), services(&outside), "{}").await;
    result.unwrap();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&made), 0o700);
    assert_eq!(mode(&files(&made)[0]), 0o600);
}
