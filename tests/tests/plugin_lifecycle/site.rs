//! The versions of one plugin, workflows that use it, and a place to install them at.

use crate::guest;
use cofferdam_contract::manifest::Manifest;
use cofferdam_runtime::embed_manifest;
use cofferdam_tests::site::Site;
use cofferdam_tests::{Ran, plugins};
use serde_json::Value;
use std::fs;

/// The plugin of this test. It is made of the product's step `command` and of small guests.
pub const ID: &str = "greeter";

/// What `greeter` wants: to run a shell, in 0.3.0 with more arguments than before.
fn wants(arguments: &str) -> String {
    format!(
        "[[capabilities]]\nname = \"cofferdam:tool/tool\"\nwhy = \"to greet with a program\"\n\
         [capabilities.grant.sh]\nprogram = \"sh\"\narguments = {arguments}\n\
         environment = {{ PATH = \"/usr/bin:/bin\" }}\ntimeout = \"2m\"\n"
    )
}

pub fn write(site: &Site, version: &str, component: &[u8], more: &str) {
    let manifest = Manifest::parse(&format!(
        "id = \"{ID}\"\nversion = \"{version}\"\nsummary = \"greets, as {version}\"\n\
         [limits]\nmemory-mib = 64\ncpu-ms = 60000\nwall-ms = 600000\n{more}"
    ))
    .unwrap();
    let bytes = embed_manifest(component, &manifest).unwrap();
    fs::write(site.path(&format!("greeter-{version}.wasm")), bytes).unwrap();
}

/// Writes every version of the plugin, and workflows that use it.
pub fn prepare(site: &Site) {
    let command = fs::read(plugins().join("command.wasm")).unwrap();
    let narrow = wants("[\"-c\", '[\\s\\S]*']");
    write(site, "0.1.0", &command, &narrow);
    write(site, "0.2.0", &command, &narrow);
    write(
        site,
        "0.3.0",
        &command,
        &wants("[\"-c\", \"-x\", '[\\s\\S]*']"),
    );
    // It does not survive its self-test.
    let trap = guest::step("", "", &[("validate", "(unreachable)")]);
    write(site, "0.4.0", &trap, "");
    // It answers its self-test, and traps when it is to work.
    let crash = guest::step("", "", &[("execute", "(unreachable)")]);
    write(site, "0.5.0", &crash, "");
    write(site, "0.6.0", &guest::step("", "", &[]), "");
    let grants = fs::read_to_string(site.path("cofferdam.toml")).unwrap();
    let crash = "[plugins.greeter.crash]\npolicy = \"quarantine\"\ncrashes = 2\nwithin = \"1h\"\n";
    site.write("cofferdam.toml", &format!("{grants}\n{crash}"));
    site.write("junk.wasm", "no component");
    let folder = site.folder().to_str().unwrap();
    site.write(
        "slow.yaml",
        &format!(
            "name: slow\nsteps:\n  - id: waits\n    uses: greeter\n    with: {{tool: sh, args: [\"-c\", \"while [ ! -e {folder}/go ]; do sleep 0.05; done\"]}}\n"
        ),
    );
    site.write(
        "crash.yaml",
        "name: crash\nsteps:\n  - {id: falls, uses: greeter, with: {}}\n",
    );
}

/// Runs a command with JSON for its output, which has to be what is published.
pub fn json(site: &Site, args: &[&str], code: i32, schema: &str) -> Value {
    let mut all = args.to_vec();
    all.extend(["--output", "json"]);
    let ran: Ran = site.run(&all);
    assert_eq!(
        ran.code,
        Some(code),
        "{args:?}\n{}\n{}",
        ran.stdout,
        ran.stderr
    );
    ran.printed(schema)
}

/// Embedded, and against a server.
pub fn both() -> [Site; 2] {
    let embedded = Site::embedded();
    prepare(&embedded);
    let mut served = Site::embedded();
    prepare(&served);
    served.start();
    [embedded, served]
}
