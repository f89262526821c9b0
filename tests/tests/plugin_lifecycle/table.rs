//! A life, command by command.

use crate::site::{ID, both, json};
use cofferdam_tests::site::Site;
use serde_json::Value;

/// One command of the table.
struct Case {
    args: &'static [&'static str],
    code: i32,
    /// The command's name in the published schemas.
    schema: &'static str,
    /// What has to be where in the answer.
    holds: &'static [(&'static str, &'static str)],
}

const fn case(
    args: &'static [&'static str],
    code: i32,
    schema: &'static str,
    holds: &'static [(&'static str, &'static str)],
) -> Case {
    Case {
        args,
        code,
        schema,
        holds,
    }
}

/// A life, command by command. What is expected holds whoever the host is.
const TABLE: [Case; 27] = [
    case(
        &["plugin", "history", ID],
        1,
        "error",
        &[("/code", "not-found")],
    ),
    case(
        &["plugin", "activate", ID],
        1,
        "error",
        &[("/code", "not-found")],
    ),
    case(
        &["plugin", "rollback", ID],
        1,
        "error",
        &[("/code", "not-found")],
    ),
    case(
        &["plugin", "release", ID],
        1,
        "error",
        &[("/code", "not-found")],
    ),
    case(&["plugin", "install", "junk.wasm"], 1, "error", &[]),
    // It wants a program, and nobody granted it.
    case(
        &["plugin", "install", "greeter-0.1.0.wasm"],
        13,
        "error",
        &[("/code", "denied")],
    ),
    case(
        &["plugin", "install", "greeter-0.1.0.wasm", "--yes"],
        13,
        "error",
        &[("/code", "denied")],
    ),
    case(
        &["plugin", "install", "greeter-0.1.0.wasm", "--grant"],
        0,
        "plugin install",
        &[
            ("/version/version", "0.1.0"),
            ("/version/grants/tool/sh/program", "sh"),
        ],
    ),
    // The same file again changes nothing.
    case(
        &["plugin", "install", "greeter-0.1.0.wasm", "--grant"],
        0,
        "plugin install",
        &[("/version/version", "0.1.0")],
    ),
    case(
        &["plugin", "activate", ID],
        0,
        "plugin activate",
        &[("/to/version", "0.1.0"), ("/outcome", "active")],
    ),
    case(
        &["plugin", "rollback", ID],
        1,
        "error",
        &[("/code", "conflict")],
    ),
    // What the active version was granted counts for one that wants the same.
    case(
        &["plugin", "install", "greeter-0.2.0.wasm", "--activate"],
        0,
        "plugin install",
        &[
            ("/activation/from/version", "0.1.0"),
            ("/activation/outcome", "active"),
        ],
    ),
    // And not for one that wants more.
    case(
        &["plugin", "install", "greeter-0.3.0.wasm", "--activate"],
        13,
        "error",
        &[("/code", "denied")],
    ),
    case(
        &[
            "plugin",
            "install",
            "greeter-0.3.0.wasm",
            "--activate",
            "--grant",
        ],
        0,
        "plugin install",
        &[
            ("/activation/to/version", "0.3.0"),
            ("/activation/outcome", "active"),
        ],
    ),
    case(
        &["plugin", "rollback", ID],
        0,
        "plugin rollback",
        &[("/to/version", "0.2.0"), ("/cause", "rollback")],
    ),
    // A failing self-test leaves the old one serving.
    case(
        &["plugin", "install", "greeter-0.4.0.wasm"],
        0,
        "plugin install",
        &[],
    ),
    case(&["plugin", "activate", ID, "0.4.0"], 14, "error", &[]),
    case(
        &["plugin", "list", "--kind", "workflow-step"],
        0,
        "plugin list",
        &[("/installed/0/active", "0.2.0")],
    ),
    case(
        &["plugin", "history", ID],
        0,
        "plugin history",
        &[
            ("/items/0/outcome", "failed"),
            ("/items/0/stage", "self-test"),
            ("/items/1/cause", "rollback"),
            ("/items/4/to/version", "0.1.0"),
        ],
    ),
    case(
        &["plugin", "history", ID, "--limit", "1"],
        0,
        "plugin history",
        &[("/items/0/outcome", "failed")],
    ),
    case(&["plugin", "history", ID, "--limit", "0"], 1, "error", &[]),
    case(
        &["plugin", "remove", ID, "0.2.0"],
        1,
        "error",
        &[("/code", "conflict")],
    ),
    case(
        &["plugin", "remove", ID, "0.9.0"],
        1,
        "error",
        &[("/code", "not-found")],
    ),
    case(&["plugin", "remove", ID, "0.3.0"], 0, "plugin remove", &[]),
    case(&["plugin", "remove", ID, "0.1.0"], 0, "plugin remove", &[]),
    case(&["plugin", "remove", ID, "0.4.0"], 0, "plugin remove", &[]),
    // The last one may go although it serves.
    case(&["plugin", "remove", ID, "0.2.0"], 0, "plugin remove", &[]),
];

fn check(site: &Site, case: &Case) {
    let value = json(site, case.args, case.code, case.schema);
    for (place, expected) in case.holds {
        let found = value.pointer(place).unwrap_or(&Value::Null);
        assert_eq!(found, expected, "{:?} at {place}: {value:#}", case.args);
    }
    if case.schema == "error" {
        assert_eq!(value["exit_code"], case.code, "{value:#}");
    }
}

#[test]
fn a_life_is_the_same_embedded_and_against_a_server() {
    for site in both() {
        for case in &TABLE {
            check(&site, case);
        }
        let left = json(&site, &["plugin", "list"], 0, "plugin list");
        assert_eq!(left["installed"], Value::Array(Vec::new()), "{left:#}");
        let history = json(&site, &["plugin", "history", ID], 0, "plugin history");
        assert_eq!(
            history["items"][0]["cause"], "remove",
            "what was removed is kept"
        );
    }
}
