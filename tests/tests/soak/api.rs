//! The API of a real `serve` under requests that its OpenAPI document allows and forbids.

use cofferdam_fixtures::find;
use cofferdam_tests::site::Site;
use cofferdam_tests::{run, workspace};
use std::process::Command;

/// Enough for a test program that never waits.
const RATES: &str = "
[server]
token-rate = { per-second = 100000, burst = 100000 }
address-rate = { per-second = 100000, burst = 100000 }
";

/// A run that ended and one that waits, so that there is something to ask for.
const ECHO: &str =
    "name: echo\nsteps:\n  - { id: s, uses: command, with: { tool: sh, args: [-c, 'true'] } }\n";
const GATED: &str = "name: gated\nsteps:\n  - { id: s, uses: command, approval: true, with: { tool: sh, args: [-c, 'true'] } }\n";

/// What schemathesis cannot know from the document.
const SETTINGS: &str = r#"
[checks.positive_data_acceptance]
# What a well-formed request may name need not exist, nor be in the state that it wants.
expected-statuses = ["2xx", "304", "401", "403", "404", "409", "422"]

[[operations]]
include-operation-id = "websocket"
checks.positive_data_acceptance.expected-statuses = ["426"]
"#;

/// Which of the bodies that it knows how to make a component is.
const HOOKS: &str = "import schemathesis

schemathesis.serializer.alias(\"application/wasm\", \"application/octet-stream\")
";

#[test]
fn schemathesis_finds_nothing() {
    let test = "schemathesis_finds_nothing";
    let Some(program) = find("schemathesis") else {
        assert!(
            std::env::var("CI").is_err(),
            "schemathesis is missing; `cargo xtask setup` installs it"
        );
        println!("SKIPPED {test}: schemathesis is missing; `cargo xtask setup` installs it");
        return;
    };
    let mut site = Site::embedded();
    let granted = std::fs::read_to_string(site.path("cofferdam.toml")).unwrap();
    site.write("cofferdam.toml", &format!("{granted}{RATES}"));
    site.write("schemathesis.toml", SETTINGS);
    site.write("hooks.py", HOOKS);
    site.write("echo.yaml", ECHO);
    site.write("gated.yaml", GATED);
    site.start();
    let _ = site.run(&["run", "echo.yaml"]).code(0);
    let _ = site.run(&["run", "gated.yaml", "--detach"]).code(0);
    let (url, token) = site.server();
    let examples = std::env::var("COFFERDAM_KILLS").map_or("20", |_| "200");
    let mut command = Command::new(program);
    command
        .current_dir(site.folder())
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", site.folder())
        .args(["--config-file", "schemathesis.toml", "run"])
        .arg(workspace().join("docs/openapi.json"))
        .args(["--url", url])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        // Streams do not end.
        .args(["--exclude-path-regex", "/events$"])
        .args(["--phases", "coverage,fuzzing", "--max-examples", examples])
        .args(["--no-color", "--request-timeout", "60"]);
    if let Ok(seed) = std::env::var("COFFERDAM_SEED") {
        command.args(["--seed", &seed]);
    }
    let ran = run(&mut command);
    println!("{}", ran.stdout);
    let _ = ran.code(0);
}
