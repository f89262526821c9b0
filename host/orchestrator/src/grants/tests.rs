use super::*;
use crate::tool::quantity::Size;
use std::time::Duration;

fn read(text: &str) -> Result<PluginGrants, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

fn check(text: &str) -> Result<Granted, GrantError> {
    Granted::check(
        "p",
        &read(text).unwrap(),
        OsStr::new("relative:/usr/bin:/bin"),
    )
}

#[test]
fn a_grant_is_read_with_its_defaults() {
    let granted = check("[tool.sh]\nprogram = 'sh'\narguments = ['-c', '\\d+']").unwrap();
    let tool = granted.tool("sh").unwrap();
    assert!(tool.program.is_absolute() && tool.program.ends_with("sh"));
    assert_eq!(tool.grant.timeout.0, Duration::from_secs(900));
    assert_eq!(tool.grant.output, Size(16 << 20));
    assert!(!tool.grant.network && tool.grant.environment.is_empty());
    let cases = [
        ("-c", true),
        ("12", true),
        ("-c ", false),
        ("", false),
        ("1a", false),
    ];
    for (argument, expected) in cases {
        assert_eq!(tool.allows(argument), expected, "{argument}");
    }
}

#[test]
fn without_patterns_no_argument_is_allowed() {
    let granted = check("[tool.sh]\nprogram = 'sh'").unwrap();
    assert!(!granted.tool("sh").unwrap().allows(""));
}

#[test]
fn unknown_keys_are_refused() {
    for text in [
        "[tool.sh]\nprogram = 'sh'\nargs = []",
        "[tool.sh]\nprogram = 'sh'\nfile_size = '1B'",
        "[secrets]\nnames = []\nall = true",
        "[tools.sh]\nprogram = 'sh'",
        "[tool.sh]\narguments = []",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn what_cannot_be_used_is_refused_with_the_way_out() {
    let cases = [
        ("[tool.Sh]\nprogram = 'sh'", "rename the table"),
        ("[tool.sh]\nprogram = 'no-such-program'", "install it"),
        ("[tool.sh]\nprogram = '/no/such'", "correct the path"),
        ("[tool.sh]\nprogram = '/etc/passwd'", "no executable file"),
        ("[tool.sh]\nprogram = './sh'", "absolute path"),
        ("[tool.sh]\nprogram = ''", "absolute path"),
        (
            "[tool.sh]\nprogram = 'sh'\narguments = ['(']",
            "`(` is not a pattern: unclosed group",
        ),
        (
            "[tool.sh]\nprogram = 'sh'\nenvironment = { 'A=B' = 'c' }",
            "correct it under `environment`",
        ),
        ("[tool.sh]\nprogram = 'sh'\noutput = '0B'", "at least 1KiB"),
        (
            "[tool.sh]\nprogram = 'sh'\nmemory = '1KiB'",
            "at least 1MiB",
        ),
        ("[tool.sh]\nprogram = 'sh'\nopen-files = 3", "at least 16"),
        ("[secrets]\nnames = ['a', '']", "`names` has an empty one"),
    ];
    for (text, part) in cases {
        let error = check(text).unwrap_err().to_string();
        assert!(
            error.contains(part) && error.contains("[plugins.p.grants."),
            "{error}"
        );
    }
}

#[test]
fn what_was_not_granted_is_denied_by_name() {
    let grants = read("[secrets]\nnames = ['db-*', 'one']").unwrap();
    let grants = Grants::check([("p", &grants)], OsStr::new("/bin")).unwrap();
    let granted = grants.of("p");
    for (name, allowed) in [
        ("db-main", true),
        ("one", true),
        ("two", false),
        ("xdb-", false),
    ] {
        assert_eq!(granted.secret(name).is_ok(), allowed, "{name}");
    }
    let other = grants.of("q").secret("one").unwrap_err();
    assert_eq!(other.code, ErrorCode::Denied);
    assert!(other.hint.unwrap().contains("[plugins.q.grants.secrets]"));
    let tool = granted.tool("qemu").unwrap_err();
    assert_eq!(tool.code, ErrorCode::Denied);
    let hint = tool.hint.unwrap();
    assert!(hint.contains("[plugins.p.grants.tool.qemu]"), "{hint}");
    assert!(hint.contains("restart it"), "{hint}");
}

#[test]
fn a_step_without_trust_gets_what_it_names_of_what_was_granted() {
    let granted = check(
        "[tool.sh]\nprogram = 'sh'\narguments = ['-c', '[a-z]+']\ntimeout = '1m'\nnetwork = true
[tool.ls]\nprogram = 'ls'
[secrets]\nnames = ['db-*']
[http]\nhosts = ['*.example.org']",
    )
    .unwrap();
    let narrowed = |text: &str| {
        let grants: StepGrants = toml::from_str(text).unwrap();
        granted.narrowed("build", &grants)
    };

    let nothing = narrowed("").unwrap();
    assert_eq!(nothing.tool("sh").unwrap_err().code, ErrorCode::Denied);
    let error = nothing.secret("db-main").unwrap_err();
    assert!(
        error.message.contains("the step build has `trust: none`"),
        "{error:?}"
    );
    assert!(error.hint.unwrap().contains("`grants.secrets`"));
    let request = OutboundRequest {
        method: "GET".to_owned(),
        scheme: "https".to_owned(),
        host: "a.example.org".to_owned(),
        port: 443,
        path: "/".to_owned(),
    };
    assert_eq!(granted.request(&request), Ok(()));
    let error = nothing.request(&request).unwrap_err();
    assert!(
        error.message.contains("do not name HTTP requests"),
        "{error:?}"
    );

    let emptied = narrowed("[secrets]\n[http]").unwrap();
    assert!(emptied.secret("db-main").is_err());
    assert!(emptied.request(&request).is_err());

    let some = narrowed(
        "[tool.sh]\narguments = ['-c', 'a.*']\ntimeout = '10s'\nnetwork = false
[secrets]\nnames = ['db-main', 'db-x*']
[http]\nhosts = ['b.example.org']",
    )
    .unwrap();
    let tool = some.tool("sh").unwrap();
    for (argument, allowed) in [("-c", true), ("abc", true), ("bc", false), ("a1", false)] {
        assert_eq!(tool.allows(argument), allowed, "{argument}");
    }
    assert_eq!(tool.grant.timeout.0, Duration::from_secs(10));
    assert!(!tool.grant.network);
    assert!(some.tool("ls").unwrap_err().message.contains("`ls`"));
    for (name, allowed) in [
        ("db-main", true),
        ("db-xy", true),
        ("db-y", false),
        ("x", false),
    ] {
        assert_eq!(some.secret(name).is_ok(), allowed, "{name}");
    }
    let error = some.request(&request).unwrap_err();
    assert!(
        error.message.contains("the step build was not granted"),
        "{error:?}"
    );
    let other = OutboundRequest {
        host: "b.example.org".to_owned(),
        ..request
    };
    assert_eq!(some.request(&other), Ok(()));
    assert!(
        some.address("b.example.org", "127.0.0.1".parse().unwrap())
            .is_err()
    );
}

#[test]
fn a_step_cannot_name_more_than_was_granted() {
    let granted = check(
        "[tool.sh]\nprogram = 'sh'\narguments = ['-c']
[secrets]\nnames = ['db-*']
[http]\nhosts = ['a.test']",
    )
    .unwrap();
    for (text, part) in [
        (
            "[tool.ls]",
            "`tool.ls` names a program that was not granted",
        ),
        ("[tool.sh]\nnetwork = true", "the operator did not grant it"),
        ("[tool.sh]\narguments = ['(']", "`(` is not a pattern"),
        ("[secrets]\nnames = ['*']", "`secrets` has \"*\""),
        ("[secrets]\nnames = ['other']", "was not granted"),
        ("[secrets]\nnames = ['']", "`secrets`: `names` has an empty"),
        ("[http]\nhosts = ['b.test']", "`hosts` has b.test"),
        (
            "[http]\nhosts = ['a.test']\nschemes = ['http']",
            "`schemes` has http",
        ),
        ("[http]\nmethods = ['GET']", "`hosts` is empty"),
    ] {
        let grants: StepGrants = toml::from_str(text).unwrap();
        let error = granted.narrowed("s", &grants).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
    }
    let http: StepGrants = toml::from_str("[http]\nhosts = ['a.test']").unwrap();
    let error = Granted::nothing("q").narrowed("s", &http).unwrap_err();
    assert!(
        error.contains("the plugin q was not granted HTTP requests"),
        "{error}"
    );
}

#[test]
fn requests_that_cannot_be_granted_are_refused_with_their_place() {
    let error = check("[http]\nhosts = ['*']").unwrap_err().to_string();
    assert!(
        error.starts_with("[plugins.p.grants.http]: `hosts` has `*`"),
        "{error}"
    );
}
