//! The boot test as it is shipped: the compiled component, under the grant that its
//! manifest proposes, with the host's supervisor, QEMU and a guest that boots.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

use async_trait::async_trait;
use cofferdam_capabilities::{load_plugins, runtime};
use cofferdam_contract::failure::CallError;
use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::{Call, StepServices, WorkflowStep};
use cofferdam_contract::services::{Artifacts, Begun, Context, Operations, Secrets};
use cofferdam_contract::types::{Error, Level, Timestamp};
use cofferdam_fixtures::{Format, Variant};
use cofferdam_orchestrator::redact::Redactor;
use cofferdam_orchestrator::tool::{Grants, PluginGrants, ToolHost, ToolRunner};
use cofferdam_runtime::{Options, PluginFolder};
use cofferdam_tests::{Job, binary, listing, plugins, run, state};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

struct Run;

impl Context for Run {
    fn run_id(&self) -> String {
        "run-1".to_owned()
    }
    fn cancelled(&self) -> bool {
        false
    }
    fn now(&self) -> Timestamp {
        Timestamp {
            seconds: 1_767_225_600,
            nanoseconds: 0,
        }
    }
    fn progress(&self, _: &str, _: u64, _: u64, _: &str) {}
    fn log(&self, _: &str, _: Level, _: &str, _: &[(String, String)]) {}
}

/// One step of one run: its journal in memory, its one artifact, no secrets.
struct Step {
    key: String,
    disk: PathBuf,
    journal: Mutex<Map<String, Value>>,
}

#[async_trait]
impl Operations for Step {
    async fn begin(&self, name: &str, _: Value) -> Result<Begun, Error> {
        let key = self.key.clone();
        let mut journal = self.journal.lock().unwrap();
        match journal.get(name) {
            None => {
                journal.insert(name.to_owned(), Value::Null);
                Ok(Begun::New { key })
            }
            Some(Value::Null) => Ok(Begun::Started { key }),
            Some(result) => Ok(Begun::Finished {
                result: result.clone(),
            }),
        }
    }
    async fn finish(&self, name: &str, result: Value) -> Result<(), Error> {
        self.journal.lock().unwrap().insert(name.to_owned(), result);
        Ok(())
    }
    async fn lost(&self, name: &str) -> Result<(), Error> {
        panic!("the operation {name} was lost")
    }
}

#[async_trait]
impl Artifacts for Step {
    async fn path(&self, reference: &str) -> Result<PathBuf, Error> {
        match reference {
            "artifact:inputs/disk" => Ok(self.disk.clone()),
            other => Err(Error::not_found(other)),
        }
    }
    async fn add(&self, _: &Path, name: &str) -> Result<String, Error> {
        Err(Error::not_found(name))
    }
}

#[async_trait]
impl Secrets for Step {
    async fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        Err(Error::not_found(name))
    }
}

/// Boots a disk in a state folder of its own.
async fn boot(
    step: &dyn WorkflowStep,
    key: &str,
    disk: &Path,
    input: Value,
) -> Result<Value, CallError> {
    let folder = tempfile::tempdir().unwrap();
    let folder_path = folder.path().canonicalize().unwrap();
    let (operations, work) = (folder_path.join("operations"), folder_path.join("work"));
    std::fs::create_dir(&operations).unwrap();
    std::fs::create_dir(&work).unwrap();
    let grant = &step.manifest().capabilities[0].grant;
    let granted: PluginGrants = serde_json::from_value(json!({ "tool": grant })).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let grants = Grants::check([("boot-test", &granted)], &path).unwrap();
    let journal = Arc::new(Step {
        key: key.to_owned(),
        disk: disk.to_owned(),
        journal: Mutex::default(),
    });
    let tools = ToolRunner {
        granted: grants.of("boot-test"),
        host: ToolHost::new(binary(), operations, grants),
        step: "boot".to_owned(),
        work,
        operations: journal.clone(),
        artifacts: journal.clone(),
        redactor: Redactor::new(),
    };
    let services = StepServices {
        tools: Arc::new(tools),
        secrets: journal.clone(),
        http: Arc::new(cofferdam_orchestrator::grants::Granted::nothing(
            "boot-test",
        )),
        operations: journal.clone(),
        artifacts: journal,
    };
    let call = Call {
        context: Arc::new(Run),
        settings: "{}".to_owned(),
    };
    let input = input.to_string();
    step.validate(call.clone(), services.clone(), &input)
        .await?;
    let output = step.execute(call.clone(), services.clone(), &input).await?;
    // As after a kill: the outcome is the recorded one, whatever became of the disk.
    let again = step.execute(call, services, &input).await?;
    assert_eq!(output, again);
    let left = listing(&folder_path.join("work"));
    assert!(
        !left.iter().any(|file| file.contains("vl.")),
        "QEMU's temporary overlay is still there: {left:?}"
    );
    Ok(serde_json::from_str(&output).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_boot_test_passes_for_a_migrated_guest_and_fails_for_the_untouched_one() {
    let Some(job) = Job::new(
        "the_boot_test_passes_for_a_migrated_guest_and_fails_for_the_untouched_one",
        Variant::Bootable,
        Format::Raw,
    ) else {
        return;
    };
    let mut granted = Granted::nothing();
    granted.grant("boot-test", "cofferdam:tool/tool");
    let runtime = runtime(&Options::with_default_cache()).unwrap();
    let loaded = load_plugins(&runtime, PluginFolder::scan(&[plugins()]), &granted).unwrap();
    let step = loaded.steps.get("boot-test");
    let step = step.unwrap_or_else(|| panic!("boot-test is not loaded; run `cargo xtask test`"));

    let input = json!({
        "disk": "artifact:inputs/disk",
        "format": "raw",
        "marker": "COFFERDAM-BOOT-OK ",
        "memory": 512,
        "network": true,
    });
    let failed = boot(step.as_ref(), "untouched", &job.source, input).await;
    let error = failed.unwrap_err();
    let message = &error.returned().unwrap().message;
    assert!(
        message.contains("the initramfs did not find the root"),
        "{message}"
    );
    assert!(message.contains("/dev/sda1 does not exist"), "{message}");
    assert!(!message.contains('\u{1b}'), "{message:?}");
    job.source_is_untouched();

    let _ = run(&mut job.migrate(&["--to", "qcow2", "-o", "out", "--yes"])).code(0);
    let migrated = job.path("out/guest.qcow2");
    let before = state(&migrated);
    let input = json!({
        "disk": "artifact:inputs/disk",
        "format": "qcow2",
        "marker": "COFFERDAM-BOOT-OK root=/dev/vda1",
        "memory": 512,
    });
    let output = boot(step.as_ref(), "migrated", &migrated, input)
        .await
        .unwrap();
    assert_eq!(output["seen"], "marker");
    assert_eq!(state(&migrated), before, "the disk is only looked at");
}
