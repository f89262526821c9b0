//! A component that speaks `wasi:http` to servers on this machine, against grants that
//! allow some of it: what is allowed arrives, and nothing else does.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

#[path = "http_grants/host.rs"]
mod host;
#[path = "http_grants/site.rs"]
mod site;

use cofferdam_capabilities::{load_step, runtime};
use cofferdam_contract::failure::{CallError, Limit};
use cofferdam_contract::grants::{Granted, HTTP};
use cofferdam_orchestrator::grants::PluginGrants;
use cofferdam_runtime::{LoadError, Options, PluginFile};
use cofferdam_tests::test_plugin;
use host::Host;
use serde_json::{Value, json};
use site::Site;

/// Grants of requests to this machine, on the port of `site` alone.
fn local(site: &Site, more: &str) -> String {
    format!(
        "[http]\nhosts = ['127.0.0.1', 'localhost']\nschemes = ['http', 'https']\nports = [{}]\n{more}",
        site.port()
    )
}

fn to(authority: impl Into<String>, path: &str) -> Value {
    json!({ "authority": authority.into(), "path": path })
}

#[tokio::test]
async fn what_is_granted_arrives_and_comes_back() {
    let site = Site::start("127.0.0.1:0").await.unwrap();
    let host = Host::new(&local(&site, ""));
    let get = to(site.authority(), "/hello?name=x");
    let post = json!({
        "method": "POST", "authority": site.authority(), "path": "/count", "send": 100_000,
    });
    let output = host.execute(&[get, post]).await.unwrap();
    let answers = &output["answers"];
    assert_eq!(answers[0]["status"], 200, "{output}");
    assert_eq!(answers[0]["body"], "hello name=x");
    assert_eq!(answers[1]["body"], "100000", "{output}");
    assert_eq!(site.seen(), ["GET /hello", "POST /count"]);
    assert_eq!(host.log(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_not_granted_is_denied_and_the_log_names_the_scope() {
    let site = Site::start("127.0.0.1:0").await.unwrap();
    let other = Site::start("127.0.0.1:0").await.unwrap();
    let more = "methods = ['GET']\npaths = ['/open']";
    let (port, authority) = (site.port(), site.authority());
    let denied = "HttpRequestDenied";
    let cases = [
        (to(&authority, "/open/x"), "", ""),
        (to(&authority, "/shut"), denied, "its `paths` are /open"),
        (to(&authority, "/open/../shut"), denied, "its `paths` are"),
        (
            to(&authority, "/open/%2e%2e/shut"),
            denied,
            "its `paths` are",
        ),
        (to(other.authority(), "/open"), denied, "its `ports` are"),
        (to("127.0.0.2", "/open"), denied, "its `hosts` are"),
        (to("example.org", "/open"), denied, "its `hosts` are"),
        (to(format!("127.1:{port}"), "/open"), denied, "its `hosts`"),
        (
            to(format!("2130706433:{port}"), "/open"),
            denied,
            "its `hosts`",
        ),
        (
            to(format!("0177.0.0.1:{port}"), "/open"),
            denied,
            "its `hosts`",
        ),
        (
            to(format!("0x7f000001:{port}"), "/open"),
            denied,
            "its `hosts`",
        ),
        (
            to(format!("0.0.0.0:{port}"), "/open"),
            denied,
            "its `hosts`",
        ),
        (to(format!("[::]:{port}"), "/open"), denied, "its `hosts`"),
        (to(format!("[::1]:{port}"), "/open"), denied, "its `hosts`"),
        (
            to(format!("[64:ff9b::8.8.8.8]:{port}"), "/open"),
            denied,
            "its `hosts`",
        ),
        (
            json!({"authority": authority, "path": "/open", "method": "DELETE"}),
            denied,
            "its `methods` are GET",
        ),
        (
            json!({"authority": authority, "path": "/open", "method": "CONNECT"}),
            denied,
            "its `methods` are GET",
        ),
        (
            json!({"authority": "user@evil.test", "path": "/open"}),
            "HttpRequestUriInvalid",
            "",
        ),
        (
            json!({"authority": authority, "path": "/open", "headers": [["host", "evil"]]}),
            "Forbidden",
            "",
        ),
        (
            json!({"authority": authority, "path": "/open", "scheme": "gopher"}),
            "HttpProtocolError",
            "",
        ),
    ];
    for (request, error, told) in cases {
        // An instance tells only so much, so each gets its own.
        let host = Host::new(&local(&site, more));
        let output = host.execute(std::slice::from_ref(&request)).await.unwrap();
        let answer = &output["answers"][0];
        let found = answer["error"].as_str().unwrap_or_default();
        assert_eq!(error.is_empty(), found.is_empty(), "{request}: {answer}");
        assert!(found.contains(error), "{request}: {answer}");
        let log = host.log().join("\n");
        assert!(log.contains(told), "{request}: {log}");
        if error == denied {
            assert!(
                log.contains("[plugins.courier.grants.http]"),
                "{request}: {log}"
            );
        }
    }
    assert_eq!(site.seen(), ["GET /open/x"]);
    assert_eq!(other.seen(), Vec::<String>::new());
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_needs_the_address_granted() {
    let site = Site::start("127.0.0.1:0").await.unwrap();
    let authority = format!("localhost:{}", site.port());
    let request = to(&authority, "/hello");
    let host = Host::new(&local(&site, ""));
    let output = host.execute(std::slice::from_ref(&request)).await.unwrap();
    assert_eq!(
        output["answers"][0]["error"], "ErrorCode::DestinationIpProhibited",
        "{output}"
    );
    let log = host.log().join("\n");
    assert!(
        log.contains("localhost, which leads to 127.0.0.1, a loopback address")
            || log.contains("localhost, which leads to ::1, a loopback address"),
        "{log}"
    );
    assert_eq!(site.seen(), Vec::<String>::new());

    let host = Host::new(&local(&site, "addresses = ['127.0.0.0/8']"));
    let output = host.execute(&[request]).await.unwrap();
    assert_eq!(output["answers"][0]["status"], 200, "{output}");
    assert_eq!(site.seen(), ["GET /hello"]);
}

#[tokio::test]
async fn addresses_of_ipv6_are_judged_by_what_they_lead_to() {
    // The listener of IPv4 answers for mapped addresses too.
    let site = Site::start("127.0.0.1:0").await.unwrap();
    let mapped = format!("[::ffff:127.0.0.1]:{}", site.port());
    let host = Host::new(&local(&site, ""));
    let output = host.execute(&[to(&mapped, "/hello")]).await.unwrap();
    assert_eq!(output["answers"][0]["status"], 200, "{output}");
    let grants = format!(
        "[http]\nhosts = ['::1']\nschemes = ['http']\nports = [{}]",
        site.port()
    );
    let output = Host::new(&grants).execute(&[to(&mapped, "/hello")]).await;
    let error = output.unwrap()["answers"][0]["error"].clone();
    assert_eq!(error, "ErrorCode::HttpRequestDenied");
    assert_eq!(site.seen(), ["GET /hello"]);

    let Ok(site) = Site::start("[::1]:0").await else {
        println!("skipped: the part with ::1, this machine has no IPv6");
        return;
    };
    let grants = format!(
        "[http]\nhosts = ['::1']\nschemes = ['http']\nports = [{}]",
        site.port()
    );
    let host = Host::new(&grants);
    let request = to(format!("[::1]:{}", site.port()), "/hello");
    let output = host.execute(&[request]).await.unwrap();
    assert_eq!(output["answers"][0]["status"], 200, "{output}");
    assert_eq!(site.seen(), ["GET /hello"]);
}

#[tokio::test]
async fn redirects_are_answers() {
    let site = Site::start("127.0.0.1:0").await.unwrap();
    let host = Host::new(&local(&site, ""));
    let output = host.execute(&[to(site.authority(), "/redirect")]).await;
    let output = output.unwrap();
    assert_eq!(output["answers"][0]["status"], 302, "{output}");
    let location = output["answers"][0]["location"].as_str().unwrap();
    assert!(location.ends_with("/hello"), "{output}");
    assert_eq!(site.seen(), ["GET /redirect"]);
}

#[tokio::test]
async fn a_server_without_a_trusted_certificate_is_not_spoken_to() {
    let site = Site::start("127.0.0.1:0").await.unwrap();
    let port = site.start_tls().await;
    let grants = format!(
        "[http]\nhosts = ['127.0.0.1']\nports = [{port}, {}]",
        site.port()
    );
    let host = Host::new(&grants);
    let secure = |port: u16| json!({ "scheme": "https", "authority": format!("127.0.0.1:{port}"), "path": "/hello" });
    let output = host.execute(&[secure(port), secure(site.port())]).await;
    let answers = output.unwrap()["answers"].clone();
    assert_eq!(answers[0]["error"], "ErrorCode::TlsCertificateError");
    // A server that speaks no TLS.
    assert_eq!(answers[1]["error"], "ErrorCode::TlsProtocolError");
    assert_eq!(site.seen(), Vec::<String>::new());
}

#[tokio::test]
async fn looking_sends_nothing() {
    let site = Site::start("127.0.0.1:0").await.unwrap();
    let host = Host::new(&local(&site, ""));
    let input = json!({ "hasty": true, "requests": [to(site.authority(), "/hello")] });
    let plan = host.plan(&input).await.unwrap();
    assert_eq!(plan.changes[0].detail, "ErrorCode::HttpRequestDenied");
    assert_eq!(site.seen(), Vec::<String>::new());
    assert!(host.log()[0].contains("during validate or plan"));
}

#[tokio::test]
async fn requests_end_with_the_patience_of_the_guest_and_with_the_call() {
    let site = Site::start("127.0.0.1:0").await.unwrap();
    let host = Host::new(&local(&site, ""));
    let mut slow = to(site.authority(), "/never");
    slow["patience_ms"] = json!(50);
    let output = host.execute(&[slow]).await.unwrap();
    assert_eq!(
        output["answers"][0]["error"], "ErrorCode::ConnectionReadTimeout",
        "{output}"
    );

    let host = Host::with_limits(&local(&site, ""), |limits| limits.wall_ms = 300);
    let error = host.execute(&[to(site.authority(), "/never")]).await;
    let error = error.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Limit {
                limit: Limit::WallClock,
                ..
            }
        ),
        "{error}"
    );
    // The connection goes with the call.
    site.all_hung_up().await;
}

#[tokio::test]
async fn what_was_sent_and_received_counts() {
    let site = Site::start("127.0.0.1:0").await.unwrap();
    let small = |grants: &str| Host::with_limits(grants, |limits| limits.egress_kib = 64);
    let fits = json!({
        "method": "POST", "authority": site.authority(), "path": "/count", "send": 32 << 10,
    });
    let output = small(&local(&site, ""))
        .execute(std::slice::from_ref(&fits))
        .await;
    assert_eq!(output.unwrap()["answers"][0]["body"], "32768");

    // Each fits; together they do not.
    let output = small(&local(&site, ""))
        .execute(&[fits.clone(), fits])
        .await;
    let answers = output.unwrap()["answers"].clone();
    assert_eq!(answers[0]["status"], 200, "{answers}");
    let spent = "the egress limit of the call is reached";
    assert!(
        answers[1]["error"].as_str().unwrap().contains(spent),
        "{answers}"
    );

    let mut sends = to(site.authority(), "/count");
    sends["method"] = json!("POST");
    sends["send"] = json!(1 << 20);
    let receives = to(site.authority(), "/big");
    for request in [sends, receives] {
        let output = small(&local(&site, ""))
            .execute(std::slice::from_ref(&request))
            .await;
        let answer = output.unwrap()["answers"][0].clone();
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(error.contains(spent), "{request}: {answer}");
        assert!(answer["length"].as_u64().unwrap() < 64 << 10, "{answer}");
    }
    // What the limit held back did not arrive.
    assert!(site.received() < (256 << 10), "{} bytes", site.received());
}

#[tokio::test]
async fn connections_at_once_are_limited_and_given_back() {
    let site = Site::start("127.0.0.1:0").await.unwrap();
    let host = Host::new(&local(&site, ""));
    let requests = vec![to(site.authority(), "/hello"); 40];
    let output = host.execute(&requests).await.unwrap();
    for answer in output["answers"].as_array().unwrap() {
        assert_eq!(answer["status"], 200, "{answer}");
    }
    assert_eq!(site.seen().len(), 40);
}

#[tokio::test]
async fn a_step_without_trust_gets_only_what_it_names() {
    let site = Site::start("127.0.0.1:0").await.unwrap();
    let grants =
        local(&site, "") + "[secrets]\nnames = ['courier-*']\n[tool.true]\nprogram = 'true'\n";
    let input = json!({
        "requests": [to(site.authority(), "/open"), to(site.authority(), "/shut")],
        "secret": "courier-key",
        "program": "true",
    });
    let trusted = Host::new(&grants).execute_input(&input).await.unwrap();
    assert_eq!(trusted["answers"][1]["status"], 200, "{trusted}");
    assert_eq!(
        (&trusted["secret"], &trusted["program"]),
        (&json!("ok"), &json!("ok"))
    );
    site.forget();

    let nothing = Host::new(&grants).without_trust("");
    let output = nothing.execute_input(&input).await.unwrap();
    assert_eq!(
        output["answers"][0]["error"],
        "ErrorCode::HttpRequestDenied"
    );
    for key in ["secret", "program"] {
        let said = output[key].as_str().unwrap();
        assert!(
            said.starts_with("Denied: the step try has `trust: none`"),
            "{said}"
        );
    }
    assert!(nothing.log()[0].contains("do not name HTTP requests"));
    assert_eq!(site.seen(), Vec::<String>::new());

    let some = format!(
        "[secrets]\nnames = ['courier-key']\n{}",
        local(&site, "paths = ['/open']")
    );
    let host = Host::new(&grants).without_trust(&some);
    let output = host.execute_input(&input).await.unwrap();
    assert_eq!(output["answers"][0]["status"], 200, "{output}");
    assert_eq!(
        output["answers"][1]["error"],
        "ErrorCode::HttpRequestDenied"
    );
    assert_eq!(output["secret"], "ok");
    assert!(
        output["program"]
            .as_str()
            .unwrap()
            .contains("the program `true`")
    );
    assert!(
        host.log()[0].contains("`grants.http` of the step try"),
        "{:?}",
        host.log()
    );
    assert_eq!(site.seen(), ["GET /open"]);
}

#[test]
fn without_its_grants_it_is_not_loaded_and_the_message_has_the_lines() {
    let path = test_plugin("courier");
    let inspection = PluginFile::read(&path).unwrap().inspection;
    let runtime = runtime(&Options::uncached()).unwrap();
    let load = |granted: &Granted| load_step(&runtime, &path, &inspection.digest, granted);

    let refused = load(&Granted::nothing()).err().unwrap();
    let LoadError::NotGranted { missing, lines } = &refused else {
        panic!("{refused}");
    };
    assert_eq!(missing.len(), 3);
    let read: toml::Value = toml::from_str(lines).unwrap();
    let grants: PluginGrants = read["plugins"]["courier"]["grants"]
        .clone()
        .try_into()
        .unwrap();
    assert_eq!(grants.http.unwrap().hosts, ["api.example.org"]);
    assert!(grants.tool.unwrap().contains_key("true") && grants.secrets.is_some());
    assert!(
        refused
            .to_string()
            .contains("to send what it is told to send"),
        "{refused}"
    );

    // All but one.
    let mut granted = Granted::nothing();
    granted.grant("courier", "cofferdam:runtime/secrets");
    granted.grant("courier", "cofferdam:tool/tool");
    let refused = load(&granted).err().unwrap();
    let LoadError::NotGranted { missing, lines } = &refused else {
        panic!("{refused}");
    };
    assert_eq!(missing[0].interface, HTTP);
    assert!(
        lines.starts_with("[plugins.courier.grants.http]\n"),
        "{lines}"
    );
    granted.grant("another", HTTP);
    assert!(load(&granted).is_err(), "another's grant is not its own");
    granted.grant("courier", HTTP);
    assert!(load(&granted).is_ok());
}
