//! Requests against grants.

use super::*;
use crate::grants::{PluginGrants, StepGrants};
use proptest::prelude::*;
use std::ffi::OsStr;

fn granted() -> Granted {
    let grants: PluginGrants = toml::from_str(
        r"[tool.sh]
        program = '/bin/sh'
        arguments = ['-c', 'file=\{\},format=raw(,.*)?', '\{\}', '-m=\d+']",
    )
    .unwrap();
    Granted::check("p", &grants, OsStr::new("/bin")).unwrap()
}

fn text(text: &str) -> ToolArgument {
    ToolArgument::Text(text.to_owned())
}

fn artifact(reference: &str, template: &str, writable: bool) -> ToolArgument {
    ToolArgument::Artifact(ArtifactArgument {
        reference: reference.to_owned(),
        template: template.to_owned(),
        writable,
    })
}

fn request(arguments: Vec<ToolArgument>) -> ToolRequest {
    ToolRequest {
        operation: "op".to_owned(),
        program: "sh".to_owned(),
        arguments,
        stop_when: Vec::new(),
        timeout_ms: 1000,
    }
}

fn code(request: &ToolRequest) -> Option<ErrorCode> {
    check(&granted(), "me", request)
        .err()
        .map(|error| error.code)
}

#[test]
fn every_argument_has_to_match() {
    let denied = Some(ErrorCode::Denied);
    let cases = [
        (vec![], None),
        (vec![text("-c")], None),
        (vec![text("-c"), text("-m=12")], None),
        (vec![text("-c"), text("-m=x")], denied),
        (vec![text("-c ")], denied),
        (vec![text("x-c")], denied),
        (vec![text("-c\n")], denied),
        (vec![artifact("artifact:inputs/d", "{}", false)], None),
        (
            vec![artifact("artifact:inputs/d", "file={},format=raw", false)],
            None,
        ),
        (
            vec![artifact("artifact:inputs/d", "file={},format=qcow2", false)],
            denied,
        ),
        (vec![artifact("artifact:inputs/d", "{}", true)], denied),
        (vec![artifact("artifact:other/d", "{}", true)], denied),
        (vec![artifact("artifact:mete/d", "{}", true)], denied),
        (vec![artifact("artifact:me/d", "{}", true)], None),
    ];
    for (arguments, expected) in cases {
        let request = request(arguments);
        assert_eq!(code(&request), expected, "{request:?}");
    }
}

#[test]
fn a_denial_names_the_scope() {
    let granted = granted();
    let error = check(&granted, "me", &request(vec![text("-c"), text("a.b")])).unwrap_err();
    assert!(
        error
            .message
            .contains("argument 1 of the program `sh`, `a.b`"),
        "{error:?}"
    );
    let hint = error.hint.unwrap();
    assert!(
        hint.contains(r"'a\.b'") && hint.contains("[plugins.p.grants.tool.sh]"),
        "{hint}"
    );
    let mut other = request(vec![]);
    other.program = "rm".to_owned();
    let error = check(&granted, "me", &other).unwrap_err();
    assert_eq!(error.code, ErrorCode::Denied);
    assert!(error.hint.unwrap().contains("[plugins.p.grants.tool.rm]"));
}

#[test]
fn a_denial_says_whose_it_is_and_what_would_allow_the_argument() {
    let narrowing: StepGrants = toml::from_str("[tool.sh]\narguments = ['-c']").unwrap();
    let trusted = granted();
    let narrowed = trusted.narrowed("me", &narrowing).unwrap();
    let operator = ("granted to the plugin p", "[plugins.p.grants.tool.sh]");
    let step = ("the step me", "`grants.tool.sh` of the step");
    for (granted, argument, (whose, place)) in [
        (&trusted, "-x", operator),
        (&narrowed, "-x", operator),
        (&narrowed, "-m=1", step),
        (&trusted, "it's \"so\"\n", operator),
    ] {
        let denied = check(granted, "me", &request(vec![text(argument)])).unwrap_err();
        assert_eq!(denied.code, ErrorCode::Denied);
        assert!(denied.message.contains(whose), "{argument}: {denied:?}");
        let hint = denied.hint.unwrap();
        assert!(hint.contains(place), "{argument}: {hint}");
        let (_, rest) = hint.split_once(" add").unwrap();
        let (wanted, _) = rest.trim_start_matches('s').split_once(" to `arg").unwrap();
        let line = format!("program = '/bin/sh'\narguments = [{wanted}]");
        let grants: PluginGrants = toml::from_str(&format!("[tool.sh]\n{line}")).unwrap();
        let widened = Granted::check("p", &grants, OsStr::new("/bin")).unwrap();
        assert!(widened.tool("sh").unwrap().allows(argument), "{hint}");
    }
}

#[test]
fn what_is_malformed_is_invalid() {
    let changed = |change: &dyn Fn(&mut ToolRequest)| {
        let mut request = request(vec![]);
        change(&mut request);
        request
    };
    let cases: Vec<ToolRequest> = vec![
        changed(&|r| r.operation = String::new()),
        changed(&|r| r.operation = "../x".to_owned()),
        changed(&|r| r.operation = "Op".to_owned()),
        changed(&|r| r.stop_when = vec!["(".to_owned()]),
        changed(&|r| r.stop_when = vec!["a".to_owned(), "(a{1000}){1000}".to_owned()]),
        request(vec![text("a\0b")]),
        request(vec![artifact("artifact:inputs/d", "no place", false)]),
        request(vec![artifact("artifact:inputs/d", "{}{}", false)]),
    ];
    for request in cases {
        assert_eq!(
            code(&request),
            Some(ErrorCode::Invalid),
            "{:.200}",
            format!("{request:?}")
        );
    }
}

#[test]
fn paths_that_mean_something_else_are_never_seen() {
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("-a,b\nc=d.qcow2");
    std::fs::write(&file, "content").unwrap();
    let request = request(vec![
        text("-c"),
        artifact(
            "artifact:inputs/-a,b\nc=d.qcow2",
            "file={},format=raw",
            false,
        ),
    ]);
    let placed = place(work.path(), &request, std::slice::from_ref(&file)).unwrap();
    assert_eq!(
        placed,
        ["-c", "file=artifacts/op-1--a_b_c_d.qcow2,format=raw"]
    );
    let link = work.path().join("artifacts/op-1--a_b_c_d.qcow2");
    assert_eq!(std::fs::read_to_string(&link).unwrap(), "content");
    // A second attempt finds the link of the first.
    assert_eq!(place(work.path(), &request, &[file]).unwrap(), placed);
}

#[test]
fn a_link_in_the_place_of_the_links_folder_is_not_followed() {
    let (work, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(elsewhere.path(), work.path().join(LINKS)).unwrap();
    let request = request(vec![artifact("artifact:inputs/d", "{}", false)]);
    assert!(place(work.path(), &request, &["/etc/passwd".into()]).is_err());
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn digests_tell_requests_apart() {
    let first = request(vec![text("-c")]);
    let mut second = first.clone();
    assert_eq!(digest(&first).unwrap(), digest(&second).unwrap());
    second.timeout_ms += 1;
    assert_ne!(digest(&first).unwrap(), digest(&second).unwrap());
}

proptest! {
    #[test]
    fn safe_names_are_safe(name in "\\PC{0,300}") {
        let safe = safe_name(&format!("artifact:inputs/{name}"));
        prop_assert!(safe.len() <= MOST_OF_NAME);
        prop_assert!(safe.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
    }
}
