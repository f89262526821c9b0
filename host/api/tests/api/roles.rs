//! Every route with every role, from the OpenAPI document: a route that is added and not
//! tried here fails the test.

use crate::document::Checker;
use crate::support::{ECHO, FAIL, GATED, HANG, Host, component, request, upload};
use cofferdam_store::Role;
use serde_json::{Value, json};

/// Somebody who asks.
struct Who {
    name: &'static str,
    token: Option<String>,
    /// The role in the project alpha.
    alpha: Option<Role>,
    /// The role in all projects.
    everywhere: Option<Role>,
}

async fn everybody(host: &Host) -> Vec<Who> {
    let mut all = vec![Who {
        name: "no token",
        token: None,
        alpha: None,
        everywhere: None,
    }];
    for (name, project, role) in [
        ("nobody", "", None),
        ("other", "other", Some(Role::Admin)),
        ("read", "alpha", Some(Role::Read)),
        ("deploy", "alpha", Some(Role::Deploy)),
        ("admin", "alpha", Some(Role::Admin)),
        ("host-read", "*", Some(Role::Read)),
        ("host-deploy", "*", Some(Role::Deploy)),
        ("host-admin", "*", Some(Role::Admin)),
    ] {
        let roles: Vec<(&str, Role)> = role.map(|role| (project, role)).into_iter().collect();
        all.push(Who {
            name,
            token: Some(host.user(name, &roles).await),
            alpha: role.filter(|_| matches!(project, "alpha" | "*")),
            everywhere: role.filter(|_| project == "*"),
        });
    }
    all
}

#[derive(Debug, PartialEq)]
enum Expected {
    Status(u16),
    Allowed,
}

fn expected(operation: &Value, who: &Who) -> Expected {
    let role = operation["x-cofferdam-role"].as_str().expect("a role");
    if role == "public" {
        return Expected::Allowed;
    }
    if who.token.is_none() {
        return Expected::Status(401);
    }
    let needed: Role = match role {
        "any" => return Expected::Allowed,
        role => role.parse().unwrap(),
    };
    match operation["x-cofferdam-scope"].as_str().expect("a scope") {
        "list" | "own" => Expected::Allowed,
        "project" => match who.alpha {
            None => Expected::Status(404),
            Some(held) if held < needed => Expected::Status(403),
            Some(_) => Expected::Allowed,
        },
        // Shown to the user itself and to admins of a project that it has a role in.
        "shown" if who.name == "read" || who.alpha >= Some(needed) => Expected::Allowed,
        "shown" => Expected::Status(404),
        "any-project" if who.alpha >= Some(needed) => Expected::Allowed,
        "host" if who.everywhere >= Some(needed) => Expected::Allowed,
        "any-project" | "host" => Expected::Status(403),
        scope => panic!("unknown scope {scope}"),
    }
}

/// Things that many requests may look at.
struct Things {
    run: String,
    activation: String,
}

/// A request that succeeds if it is allowed, to a thing of the project alpha; made anew
/// for each who changes it.
async fn sample(
    host: &Host,
    things: &Things,
    operation: &str,
    who: &str,
) -> (String, Option<Value>) {
    let run = &things.run;
    let decision = async |source: &str| {
        let run = host.start("alpha", source).await;
        let view = host.wait(&run, "waiting-approval").await;
        let approval = &view["approvals"][0];
        let body = json!({"step": approval["step"], "digest": approval["digest"]});
        (run, body)
    };
    let start = json!({"project": "alpha", "workflow": {"source": ECHO}});
    let plain = |path: &str| (path.to_owned(), None);
    match operation {
        "list_runs" => plain("/api/v1/runs?project=alpha"),
        "start_run" => ("/api/v1/runs".to_owned(), Some(start)),
        "get_run" => plain(&format!("/api/v1/runs/{run}")),
        "run_events" => plain(&format!("/api/v1/runs/{run}/events?follow=false")),
        "run_logs" => plain(&format!("/api/v1/runs/{run}/logs")),
        "run_artifact" => plain(&format!("/api/v1/runs/{run}/artifacts/echo%2Freport")),
        "run_approvals" => plain(&format!("/api/v1/runs/{run}/approvals")),
        "approve_run" => {
            let (run, body) = decision(GATED).await;
            (format!("/api/v1/runs/{run}/approve"), Some(body))
        }
        "reject_run" => {
            let (run, body) = decision(GATED).await;
            (format!("/api/v1/runs/{run}/reject"), Some(body))
        }
        "cancel_run" => {
            let run = host.start("alpha", HANG).await;
            (format!("/api/v1/runs/{run}/cancel"), Some(json!({})))
        }
        "resume_run" => plain(&format!("/api/v1/runs/{run}/resume")),
        "retry_run" => {
            let run = host.start("alpha", FAIL).await;
            host.wait(&run, "failed").await;
            plain(&format!("/api/v1/runs/{run}/retry"))
        }
        "list_approvals" => plain("/api/v1/approvals?project=alpha"),
        "list_workflows" => plain("/api/v1/workflows?project=alpha"),
        "get_workflow" => plain("/api/v1/workflows/echo?project=alpha"),
        "put_workflow" => (
            "/api/v1/workflows/echo?project=alpha".to_owned(),
            Some(json!({"source": ECHO})),
        ),
        "delete_workflow" => {
            let name = format!("doomed-{who}").replace(' ', "-");
            let path = format!("/api/v1/workflows/{name}?project=alpha");
            let source = ECHO.replace("name: echo", &format!("name: {name}"));
            let saved = host
                .local("PUT", &path, Some(json!({"source": source})))
                .await;
            saved.expect(200);
            plain(&path)
        }
        "validate_workflow" => ("/api/v1/workflows/validate".to_owned(), Some(start)),
        "plan_workflow" => ("/api/v1/workflows/plan".to_owned(), Some(start)),
        "all_events" => plain("/api/v1/events?follow=false&project=alpha"),
        "websocket" => plain("/api/v1/ws"),
        "list_plugins" => plain("/api/v1/plugins"),
        "get_plugin" => plain("/api/v1/plugins/test%2Fecho"),
        "plugin_versions" => plain("/api/v1/plugins/greeter/versions"),
        "plugin_history" => plain("/api/v1/plugins/greeter/history"),
        "plugin_activation" => plain(&format!(
            "/api/v1/plugins/greeter/activations/{}",
            things.activation
        )),
        // The body is no JSON; see `send`.
        "install_plugin" => plain("/api/v1/plugins?grant=true"),
        "activate_plugin" => {
            let body = json!({"version": "0.2.0"});
            host.at_rest("greeter").await;
            ("/api/v1/plugins/greeter/activate".to_owned(), Some(body))
        }
        "rollback_plugin" => {
            // So that there is always something before.
            host.at_rest("greeter").await;
            for version in ["0.1.0", "0.2.0"] {
                host.activate("greeter", version).await;
            }
            plain("/api/v1/plugins/greeter/rollback")
        }
        "release_plugin" => (
            "/api/v1/plugins/greeter/release".to_owned(),
            Some(json!({})),
        ),
        "remove_plugin_version" => {
            let doomed = component("doomed", "0.1.0", false);
            host.upload("", doomed).await.expect(201);
            plain("/api/v1/plugins/doomed/versions/0.1.0")
        }
        "disk_info" | "disk_map" => {
            let path = host.folder.path().join("disk.img");
            std::fs::write(&path, vec![1; 8192]).unwrap();
            let what = operation.trim_start_matches("disk_");
            (format!("/api/v1/disks/{what}"), Some(json!({"path": path})))
        }
        "list_secrets" => plain("/api/v1/secrets?project=alpha"),
        "put_secret" => (
            "/api/v1/secrets/db-password?project=alpha".to_owned(),
            Some(json!({"value": "correct horse battery"})),
        ),
        "delete_secret" => {
            let path = "/api/v1/secrets/doomed?project=alpha";
            let body = json!({"value": "correct horse battery"});
            host.local("PUT", path, Some(body)).await.expect(200);
            plain(path)
        }
        "whoami" => plain("/api/v1/whoami"),
        "list_users" => plain("/api/v1/users"),
        "create_user" => (
            "/api/v1/users".to_owned(),
            Some(json!({"name": format!("new-{who}").replace(' ', "-")})),
        ),
        "get_user" => plain("/api/v1/users/read"),
        "update_user" => (
            "/api/v1/users/target".to_owned(),
            Some(json!({"disabled": false})),
        ),
        "delete_user" => {
            let name = format!("doomed-{who}").replace(' ', "-");
            let made = host
                .local("POST", "/api/v1/users", Some(json!({"name": name})))
                .await;
            assert!(matches!(made.status.as_u16(), 201 | 409), "{}", made.text());
            plain(&format!("/api/v1/users/{name}"))
        }
        "put_role" => (
            "/api/v1/users/target/roles/alpha".to_owned(),
            Some(json!({"role": "read"})),
        ),
        "delete_role" => {
            let path = "/api/v1/users/target/roles/alpha";
            let role = json!({"role": "read"});
            host.local("PUT", path, Some(role)).await.expect(200);
            plain(path)
        }
        "list_tokens" => plain("/api/v1/tokens"),
        "create_token" => ("/api/v1/tokens".to_owned(), Some(json!({"label": "mine"}))),
        "revoke_token" => {
            let user = if who == "no token" { "nobody" } else { who };
            let body = json!({"user": user, "label": "doomed"});
            let made = host.local("POST", "/api/v1/tokens", Some(body)).await;
            let made = made.expect(201).json();
            plain(&format!(
                "/api/v1/tokens/{}",
                made["token"]["id"].as_str().unwrap()
            ))
        }
        "list_grants" => plain("/api/v1/grants"),
        "create_grant" | "revoke_grant" => {
            let body = json!({
                "user": "target", "project": "alpha", "role": "read", "reason": "test", "valid_for": 60,
            });
            if operation == "create_grant" {
                return ("/api/v1/grants".to_owned(), Some(body));
            }
            let made = host.local("POST", "/api/v1/grants", Some(body)).await;
            let made = made.expect(201).json();
            plain(&format!("/api/v1/grants/{}", made["id"].as_str().unwrap()))
        }
        "list_audit" => plain("/api/v1/audit?project=alpha"),
        "metrics_text" => plain("/metrics"),
        "live" => plain("/health/live"),
        "ready" => plain("/health/ready"),
        "version" => plain("/version"),
        "document" => plain("/openapi.json"),
        unknown => panic!("the route {unknown} has no case in this table"),
    }
}

/// What an allowed request is answered where that is not a success.
fn allowed(operation: &str, status: u16) -> bool {
    match operation {
        // The run is not parked.
        "resume_run" => status == 409,
        // Nothing is in quarantine.
        "release_plugin" => status == 404,
        // It asks for no WebSocket.
        "websocket" => status == 426,
        // The owner's user of the same name is somebody else; see the token routes' own tests.
        _ => (200..300).contains(&status),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_with_every_role() {
    let host = Host::new().await;
    let run = host.start("alpha", ECHO).await;
    host.wait(&run, "succeeded").await;
    host.made(&run, "echo/report", b"fine");
    let echo = json!({"source": ECHO});
    let saved = host
        .local("PUT", "/api/v1/workflows/echo?project=alpha", Some(echo))
        .await;
    saved.expect(200);
    host.user("target", &[]).await;
    for version in ["0.1.0", "0.2.0"] {
        let greeter = component("greeter", version, false);
        host.upload("", greeter).await.expect(201);
    }
    let activation = host.activate("greeter", "0.1.0").await;
    let things = Things { run, activation };
    let people = everybody(&host).await;
    let document = cofferdam_api::document();
    let checker = Checker::new();
    let mut wrong = Vec::new();
    let mut tried = 0;
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            for who in &people {
                let (path, body) = sample(&host, &things, id, who.name).await;
                let token = who.token.as_deref();
                let answer = if id == "install_plugin" {
                    let body = component("greeter", "0.1.0", false);
                    host.send(upload(&path, token, body)).await
                } else {
                    let method = method.to_uppercase();
                    host.send(request(&method, &path, token, body)).await
                };
                let status = answer.status.as_u16();
                let fine = match expected(operation, who) {
                    Expected::Status(wanted) => status == wanted,
                    Expected::Allowed => allowed(id, status),
                };
                let flaw = checker.flaw(method, template, &answer);
                if !fine || flaw.is_some() {
                    wrong.push(format!(
                        "{id} ({path}) as {}: {status}, expected {:?}, {}; {}",
                        who.name,
                        expected(operation, who),
                        flaw.unwrap_or_default(),
                        answer.text().chars().take(300).collect::<String>()
                    ));
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 300, "only {tried} requests were made");
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
