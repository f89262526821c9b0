//! The OpenAPI 3.1 document: what the routes say of themselves, and what is the same for
//! all of them.
//!
//! Handlers describe their success. Which failures a route can answer follows from its
//! shape (has it a body, parameters, a role?), and is written in here by [`complete`], so
//! that no route can forget one. The result is kept as `docs/openapi.json`; a test fails
//! when the two differ.

use crate::problem::{PROBLEM_JSON, Problem};
use crate::websocket::{ClientMessage, ServerMessage};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

/// What does not come from the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cofferdam",
        description = "Durable runs of sandboxed plugins: start, watch, approve, cancel and resume them.\n\nFailures are problem documents (RFC 9457) with the code that plugins and the command line use too. A request may carry an `Idempotency-Key` (POST) or `If-None-Match` (GET). Things of projects that a token may not read are answered as if they did not exist.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "runs", description = "Start, look, follow, cancel, resume"),
        (name = "approvals", description = "Decide about plans"),
        (name = "workflows", description = "Save, check, plan"),
        (name = "events", description = "Follow everything"),
        (name = "plugins", description = "What workflows can use; install, swap, roll back"),
        (name = "disks", description = "Disk images on the host"),
        (name = "secrets", description = "Set and remove; never read"),
        (name = "identity", description = "Users, roles, tokens, grants, audit"),
        (name = "host", description = "Health, metrics, version"),
    ),
    components(schemas(Problem, ClientMessage, ServerMessage)),
)]
pub struct Base;

/// A failure that routes can answer.
struct Failure {
    status: &'static str,
    name: &'static str,
    description: &'static str,
    /// Headers beside the body.
    headers: &'static [(&'static str, &'static str)],
}

const RETRY: (&str, &str) = ("Retry-After", "Seconds to wait");

const FAILURES: &[Failure] = &[
    Failure {
        status: "400",
        name: "BadRequest",
        description: "The request cannot be understood",
        headers: &[],
    },
    Failure {
        status: "401",
        name: "Unauthenticated",
        description: "There is no token, or it counts no more",
        headers: &[("WWW-Authenticate", "`Bearer` (RFC 6750)")],
    },
    Failure {
        status: "403",
        name: "Denied",
        description: "The caller may see it and not do this",
        headers: &[],
    },
    Failure {
        status: "404",
        name: "NotFound",
        description: "It does not exist, or the caller may not see it",
        headers: &[],
    },
    Failure {
        status: "408",
        name: "BodyTimeout",
        description: "The body did not arrive in time",
        headers: &[],
    },
    Failure {
        status: "409",
        name: "Conflict",
        description: "The state of the thing does not allow it",
        headers: &[RETRY],
    },
    Failure {
        status: "413",
        name: "BodyTooLarge",
        description: "The body is too long",
        headers: &[],
    },
    Failure {
        status: "415",
        name: "MediaType",
        description: "The body is not of the media type that is named here",
        headers: &[],
    },
    Failure {
        status: "422",
        name: "Invalid",
        description: "The request is understood, and asks for something that cannot be",
        headers: &[],
    },
    Failure {
        status: "429",
        name: "TooManyRequests",
        description: "The rate of this token or address is exceeded",
        headers: &[RETRY],
    },
    Failure {
        status: "500",
        name: "Failed",
        description: "The host failed; its log says more",
        headers: &[],
    },
    Failure {
        status: "503",
        name: "Unavailable",
        description: "Not now: the host is busy, stopping, or took too long",
        headers: &[RETRY],
    },
    Failure {
        status: "507",
        name: "NoSpace",
        description: "There is no room left on the host",
        headers: &[],
    },
];

/// The whole document.
pub fn complete(from_routes: utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(from_routes).unwrap_or_default();
    if let Some(info) = document.pointer_mut("/info").and_then(Value::as_object_mut) {
        info.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
        info.remove("contact");
    }
    let operations = document
        .pointer_mut("/paths")
        .and_then(Value::as_object_mut);
    for (path, item) in operations.into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if let Some(operation) = operation.as_object_mut() {
                complete_operation(path, method, operation);
            }
        }
    }
    if let Some(components) = document
        .pointer_mut("/components")
        .and_then(Value::as_object_mut)
    {
        let responses: Map<String, Value> = FAILURES
            .iter()
            .map(|failure| (failure.name.to_owned(), response(failure)))
            .collect();
        components.insert("responses".to_owned(), responses.into());
        let scheme = json!({
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "A token from `cofferdam token create` or POST /api/v1/tokens. The host's Unix socket needs none.",
            },
        });
        components.insert("securitySchemes".to_owned(), scheme);
    }
    close_variants(&mut document, "WorkflowChoice");
    document
}

fn response(failure: &Failure) -> Value {
    let headers: Map<String, Value> = failure
        .headers
        .iter()
        .map(|(name, description)| {
            let header = json!({"description": description, "schema": {"type": "string"}});
            ((*name).to_owned(), header)
        })
        .collect();
    let mut response = json!({
        "description": failure.description,
        "content": {
            PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}},
        },
    });
    if !headers.is_empty()
        && let Some(response) = response.as_object_mut()
    {
        response.insert("headers".to_owned(), headers.into());
    }
    response
}

fn complete_operation(path: &str, method: &str, operation: &mut Map<String, Value>) {
    // They come in the order of a hash map.
    let mut extensions: Vec<String> = operation.keys().cloned().collect();
    extensions.retain(|name| name.starts_with("x-"));
    extensions.sort();
    for name in extensions {
        if let Some(value) = operation.shift_remove(&name) {
            operation.insert(name, value);
        }
    }
    let text = |operation: &Map<String, Value>, name: &str| {
        let value = operation.get(name).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let role = text(operation, "x-cofferdam-role");
    let public = role == "public";
    let is_stream = operation.contains_key("x-cofferdam-stream");
    let has_body = operation.contains_key("requestBody");
    // Bytes that are no JSON have no schema (OpenAPI 3.1.0, "Considerations for file
    // uploads").
    if let Some(media) = operation
        .get_mut("requestBody")
        .and_then(|body| body.pointer_mut("/content/application~1wasm"))
    {
        *media = json!({});
    }
    let changes = method != "get";
    let parameters = operation
        .entry("parameters")
        .or_insert_with(|| json!([]))
        .as_array_mut();
    let mut names_thing = false;
    if let Some(parameters) = parameters {
        for parameter in parameters.iter_mut() {
            names_thing |= parameter.get("in") == Some(&json!("path"));
            // An absent parameter is left out; there is no way to write null.
            drop_null(parameter);
        }
        let mut header = |name: &str, description: &str, schema: Value| {
            parameters.push(json!({
                "name": name, "in": "header", "required": false,
                "description": description, "schema": schema,
            }));
        };
        if method == "post" {
            header(
                "Idempotency-Key",
                "Names this request, so that a repetition gets the same answer and does nothing",
                json!({"type": "string", "pattern": "^[!-~]{1,255}$"}),
            );
        }
        if method == "get" && !public && !is_stream && path != "/metrics" {
            header(
                "If-None-Match",
                "Entity tags that the client has; a hit is answered 304",
                json!({"type": "string"}),
            );
        }
        if parameters.is_empty() {
            operation.remove("parameters");
        }
    }
    let security = if public {
        json!([])
    } else {
        json!([{"bearer": []}])
    };
    operation.insert("security".to_owned(), security);

    let mut statuses = vec!["429", "500", "503"];
    if !public {
        statuses.extend(["400", "401"]);
        if path != "/api/v1/ws" {
            // A body that does not belong there is read too.
            statuses.extend(["408", "413"]);
        }
        if role != "any" || changes {
            statuses.push("403");
        }
        if names_thing || text(operation, "x-cofferdam-scope") != "own" {
            statuses.push("404");
        }
        if path.starts_with("/api/") && path != "/api/v1/ws" {
            statuses.push("422");
        }
    }
    if text(operation, "x-cofferdam-scope") == "own" {
        statuses.push("403");
    }
    if has_body {
        statuses.push("415");
    }
    if changes {
        statuses.extend(["409", "507"]);
        statuses.push("404");
    }
    let Some(responses) = operation
        .entry("responses")
        .or_insert_with(|| json!({}))
        .as_object_mut()
    else {
        return;
    };
    for failure in FAILURES {
        if statuses.contains(&failure.status) && !responses.contains_key(failure.status) {
            let reference = format!("#/components/responses/{}", failure.name);
            responses.insert(failure.status.to_owned(), json!({"$ref": reference}));
        }
    }
    if method == "get" && !public && !is_stream && path != "/metrics" {
        let tag =
            json!({"description": "The entity tag of the body", "schema": {"type": "string"}});
        responses.insert(
            "304".to_owned(),
            json!({"description": "The client has it already", "headers": {"ETag": tag.clone()}}),
        );
        if let Some(success) = responses.get_mut("200").and_then(Value::as_object_mut) {
            success.insert("headers".to_owned(), json!({"ETag": tag}));
        }
    }
    responses.sort_keys();
}

/// Takes `null` from the types of a parameter's schema.
fn drop_null(parameter: &mut Value) {
    let Some(schema) = parameter.get_mut("schema") else {
        return;
    };
    if let Some(types) = schema.get_mut("type") {
        let kept: Vec<Value> = match types {
            Value::Array(types) => types.iter().filter(|one| *one != "null").cloned().collect(),
            _ => return,
        };
        if let [one] = kept.as_slice() {
            *types = one.clone();
        }
        return;
    }
    // `oneOf: [null, $ref]`
    let variants = schema.get("oneOf").and_then(Value::as_array).cloned();
    let kept: Vec<Value> = variants
        .into_iter()
        .flatten()
        .filter(|one| one.get("type") != Some(&json!("null")))
        .collect();
    if let [one] = kept.as_slice() {
        *schema = one.clone();
    }
}

/// Says of an enumeration whose cases are objects of one property that they have no other.
fn close_variants(document: &mut Value, schema: &str) {
    let variants = document
        .pointer_mut(&format!("/components/schemas/{schema}/oneOf"))
        .and_then(Value::as_array_mut);
    for variant in variants.into_iter().flatten() {
        if let Some(variant) = variant.as_object_mut() {
            variant.insert("additionalProperties".to_owned(), json!(false));
        }
    }
}
