//! The grants that steps propose, held against the host's reading of them and against
//! what the steps pass.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_orchestrator::runs::workflow::CompiledWorkflow;
use cofferdam_orchestrator::tool::{Granted, PluginGrants};
use cofferdam_sdk::step::Argument;
use cofferdam_sdk::testing::{StepCase, case_folders};
use cofferdam_tests::workspace;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use toml::Value;

fn folder(plugin: &str) -> PathBuf {
    workspace().join("plugins/steps").join(plugin)
}

/// What the manifest proposes, as it stands under `[plugins.ID.grants.tool]`.
fn proposed(plugin: &str) -> Value {
    let text = fs::read_to_string(folder(plugin).join("plugin.toml")).unwrap();
    let manifest: Value = toml::from_str(&text).unwrap();
    manifest["capabilities"][0]["grant"].clone()
}

/// What the README says to write.
fn documented(plugin: &str) -> Value {
    let text = fs::read_to_string(folder(plugin).join("README.md")).unwrap();
    let (_, section) = text.split_once("\n## Grant\n").unwrap();
    let (_, block) = section.split_once("```toml\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let configuration: Value = toml::from_str(block).unwrap();
    configuration["plugins"][plugin]["grants"]["tool"].clone()
}

/// The grant as the host reads it, on a machine that has the programs.
fn granted(plugin: &str, tools: &Value) -> Granted {
    let path = tempfile::tempdir().unwrap();
    for grant in tools.as_table().unwrap().values() {
        let program = path.path().join(grant["program"].as_str().unwrap());
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let grants = toml::Table::from_iter([("tool".to_owned(), tools.clone())]);
    let grants: PluginGrants = grants.try_into().unwrap();
    Granted::check(plugin, &grants, path.path().as_os_str()).unwrap()
}

#[test]
fn what_a_readme_says_to_grant_is_what_the_manifest_proposes_and_the_host_reads() {
    assert_eq!(documented("boot-test"), proposed("boot-test"));
    for plugin in ["boot-test", "command"] {
        for tools in [documented(plugin), proposed(plugin)] {
            let granted = granted(plugin, &tools);
            assert_eq!(granted.tools().len(), 1, "{plugin}");
        }
    }
}

#[test]
fn the_boot_test_may_pass_what_it_passes() {
    let granted = granted("boot-test", &documented("boot-test"));
    let qemu = granted.tool("qemu").unwrap();
    let mut seen = 0;
    for directory in case_folders(&folder("boot-test")).unwrap() {
        let expected = StepCase::load(&directory).unwrap().expected().unwrap();
        for argument in expected.runs.iter().flat_map(|run| &run.arguments) {
            let text = match argument {
                Argument::Text(text) => text,
                Argument::Artifact { template, .. } => template,
            };
            assert!(qemu.allows(text), "{text} in {}", directory.display());
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} arguments");
}

#[test]
fn nothing_else_can_be_passed_to_qemu() {
    let granted = granted("boot-test", &documented("boot-test"));
    let qemu = granted.tool("qemu").unwrap();
    for argument in [
        "",
        "-hda",
        "-monitor",
        "-chardev",
        "-blockdev",
        "-kernel",
        "-readconfig",
        "/etc/passwd",
        "{}",
        "file={},format=raw,if=none,id=disk",
        "file={},format=raw,if=none,id=disk,snapshot=off",
        "file={},format=raw,if=none,id=disk,snapshot=on,snapshot=off",
        "file={},format=vmdk,if=none,id=disk,snapshot=on",
        "file={},format=qcow2,if=none,id=disk,snapshot=on",
        "file=/etc/shadow,format=raw,if=none,id=disk,snapshot=on",
        "file=xfile={},format=raw,if=none,id=disk,snapshot=on",
        "user,id=net",
        "user,id=net,restrict=on,hostfwd=tcp::22-:22",
        "user,id=net,restrict=on\nx",
        "virtio-9p-pci,fsdev=x,mount_tag=x",
        "file:/tmp/x",
        "off",
        "64",
        "100000",
        "1024M",
    ] {
        assert!(!qemu.allows(argument), "{argument:?}");
    }
}

#[test]
fn the_example_is_a_workflow_and_its_grants_are_read() {
    let folder = workspace().join("examples/boot-test");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let workflow = CompiledWorkflow::new("boot.yaml", &read("boot.yaml")).unwrap();
    assert!(workflow.index("boot").is_some());
    let configuration: Value = toml::from_str(&read("cofferdam.toml")).unwrap();
    for plugin in ["boot-test", "command"] {
        let tools = &configuration["plugins"][plugin]["grants"]["tool"];
        granted(plugin, tools);
    }
    let tools = &configuration["plugins"]["boot-test"]["grants"]["tool"];
    assert_eq!(*tools, documented("boot-test"));
}
