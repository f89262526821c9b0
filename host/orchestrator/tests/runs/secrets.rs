//! What a step was told in confidence is in nothing that is kept.

use crate::common::{Host, actor};
use cofferdam_orchestrator::Options;
use cofferdam_orchestrator::tool::{Grants, PluginGrants, SecretsGrant};
use cofferdam_store::{LogFilter, RunState};
use serde_json::json;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Every file below `folder` that holds the canary.
fn holding(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path));
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let held = bytes
                .windows(CANARY.len())
                .any(|part| part == CANARY.as_bytes());
            found.extend(held.then_some(path));
        }
    }
    found
}

/// Nobody hands the secret out in the second host: the program knows it from elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_an_earlier_host_set_is_known_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let shell: PluginGrants =
        toml::from_str("[tool.sh]\nprogram = 'sh'\narguments = ['(?s).*']\n").unwrap();
    let path = OsStr::new("/usr/bin:/bin");
    let options = |options: &mut Options| {
        options.grants = Grants::check([("scripted", &shell)], path).unwrap();
        options.supervisor = PathBuf::from(env!("CARGO_BIN_EXE_cofferdam-supervise"));
    };
    let first = Host::with(folder.path(), Arc::default(), options).await;
    let value = CANARY.as_bytes().to_vec().into();
    let secrets = &first.orchestrator.secrets;
    secrets.set(&actor(), "default", "db", value).await.unwrap();
    let (_, state, diary) = first.left().await;

    let second = Host::with(&state, diary, options).await;
    let (begin, end) = CANARY.split_at(9);
    let workflow = format!(
        "name: telling\nsteps: [{{ id: a, uses: scripted, with: {{ name: a, \
         sh: 'printf {begin}; sleep 0.2; echo {end}; echo the end' }} }}]\n\
         outputs: {{ said: '${{{{ steps.a.outputs.tail }}}}' }}\n"
    );
    let view = second.run(&workflow, json!({})).await;
    assert_eq!(view.run.state, RunState::Succeeded, "{view:#?}");
    assert_eq!(view.run.outputs, Some(json!({"said": "***\nthe end\n"})));
    second.orchestrator.shutdown().await;
    assert_eq!(holding(&state), Vec::<PathBuf>::new());
    assert!(!format!("{view:?}").contains(CANARY));
}

/// A host whose key is lost starts all the same: what cannot be read can be removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_without_the_key_of_its_secrets_starts() {
    let folder = tempfile::tempdir().unwrap();
    let first = Host::over(folder.path(), Arc::default()).await;
    let value = CANARY.as_bytes().to_vec();
    let secrets = &first.orchestrator.secrets;
    secrets
        .set(&actor(), "default", "db", value.clone().into())
        .await
        .unwrap();
    let (_, state, diary) = first.left().await;
    std::fs::remove_file(state.join("secret.key")).unwrap();
    let second = Host::over(&state, diary).await;
    let secrets = &second.orchestrator.secrets;
    let refused = secrets
        .set(&actor(), "default", "other", value.into())
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("bring it back"), "{refused}");
    secrets.remove(&actor(), "default", "db").await.unwrap();
    second.orchestrator.shutdown().await;
}

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
    assert_eq!(holding(folder.path()), Vec::<PathBuf>::new());
}
