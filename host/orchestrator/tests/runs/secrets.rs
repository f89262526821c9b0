//! What a step was told in confidence is in nothing that is kept.

use crate::common::{Host, actor};
use cofferdam_orchestrator::tool::{Grants, PluginGrants, SecretsGrant};
use cofferdam_store::{LogFilter, RunState};
use serde_json::json;
use std::sync::Arc;

const CANARY: &str = "canary-7f3b9c2e5d1a";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_in_no_log_output_error_or_file() {
    let folder = tempfile::tempdir().unwrap();
    let grants = PluginGrants {
        secrets: Some(SecretsGrant {
            names: vec!["db-*".to_owned()],
        }),
        ..PluginGrants::default()
    };
    let grants = Grants::check([("scripted", &grants)], std::ffi::OsStr::new("")).unwrap();
    let host = Host::with(folder.path(), Arc::default(), |options| {
        options.grants = grants
    })
    .await;
    for name in ["db-main", "other"] {
        let value = CANARY.as_bytes().to_vec().into();
        let secrets = &host.orchestrator.secrets;
        secrets.set(&actor(), "default", name, value).await.unwrap();
    }
    let workflow = "
name: telling
inputs: { fail: { type: json } }
steps: [{ id: a, uses: scripted, with: { name: a, secret: db-main, fail: '${{ inputs.fail }}' } }]
outputs: { said: '${{ steps.a.outputs.said }}' }
";
    let told = host.run(workflow, json!({})).await;
    assert_eq!(told.run.outputs, Some(json!({"said": "it is ***"})));
    let failed = host.run(workflow, json!({"fail": "invalid"})).await;
    assert!(
        failed
            .run
            .error
            .as_ref()
            .unwrap()
            .message
            .contains("*** is wrong")
    );
    let denied = "name: x\nsteps: [{ id: a, uses: scripted, with: { secret: other } }]";
    let denied = host.run(denied, json!({})).await;
    assert_eq!(denied.run.state, RunState::Failed);
    assert_eq!(denied.run.error.unwrap().code, "denied");

    host.orchestrator.shutdown().await;
    let runs = &host.orchestrator.runs;
    let logs = runs
        .logs(&told.run.id, 0, &LogFilter::default(), 10)
        .unwrap();
    assert_eq!(logs[0].message, "logged in with ***");
    assert_eq!(logs[0].fields, json!({"password": "***"}));
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes
                .windows(CANARY.len())
                .any(|part| part == CANARY.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}
