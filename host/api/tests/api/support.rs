//! A host with native steps, and clients of it.

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use cofferdam_api::{ApiOptions, ListenOptions, Listeners, LocalActor, ServeOptions};
use cofferdam_contract::failure::{CallError, Callee};
use cofferdam_contract::kinds::{Call, Kind, Plugin, StepServices, WorkflowStep};
use cofferdam_contract::manifest::{Limits, Manifest, Order};
use cofferdam_contract::types::{Error, ErrorCode, Level, PlannedChange, StepPlan};
use cofferdam_orchestrator::catalogue::NativeSteps;
use cofferdam_orchestrator::identity::{Actor, TokenRequest};
use cofferdam_orchestrator::plugins::{
    Active, CallWatch, Candidate, Inspected, PluginHost, PluginOptions, Prepared, Ready, Refusal,
};
use cofferdam_orchestrator::tool::PluginGrants;
use cofferdam_orchestrator::{Options, Orchestrator};
use cofferdam_store::{NewArtifact, Role};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tower::ServiceExt;

/// What the test steps do.
#[derive(Clone, Copy)]
enum Deed {
    /// Returns its input.
    Echo,
    /// Says `count` log lines.
    Talk,
    /// Fails.
    Fail,
    /// Never ends.
    Hang,
}

struct TestStep {
    manifest: Manifest,
    digest: String,
    deed: Deed,
}

impl TestStep {
    fn failed(&self, code: ErrorCode, message: &str) -> CallError {
        CallError::Returned {
            callee: Callee {
                plugin: self.manifest.id.clone(),
                call: "execute".to_owned(),
            },
            error: Error::new(code, message),
        }
    }
}

impl Plugin for TestStep {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn digest(&self) -> &str {
        &self.digest
    }
}

#[async_trait]
impl WorkflowStep for TestStep {
    async fn validate(&self, _: Call, _: StepServices, input: &str) -> Result<(), CallError> {
        if input.contains("refuse me") {
            return Err(self.failed(ErrorCode::Invalid, "this input is refused"));
        }
        Ok(())
    }

    async fn plan(&self, _: Call, _: StepServices, input: &str) -> Result<StepPlan, CallError> {
        Ok(StepPlan {
            summary: "would echo".to_owned(),
            changes: vec![PlannedChange {
                action: "echo".to_owned(),
                subject: input.to_owned(),
                detail: Default::default(),
            }],
        })
    }

    async fn execute(&self, call: Call, _: StepServices, input: &str) -> Result<String, CallError> {
        match self.deed {
            Deed::Echo => Ok(input.to_owned()),
            Deed::Talk => {
                let input: Value = serde_json::from_str(input).unwrap();
                for line in 0..input["count"].as_u64().unwrap_or(3) {
                    let text = format!("line {line}");
                    call.context.log("talk", Level::Info, &text, &[]);
                }
                Ok("{}".to_owned())
            }
            Deed::Fail => Err(self.failed(ErrorCode::Invalid, "this step always fails")),
            Deed::Hang => std::future::pending().await,
        }
    }

    async fn compensate(
        &self,
        _: Call,
        _: StepServices,
        _: &str,
        _: Option<&str>,
    ) -> Result<(), CallError> {
        Ok(())
    }
}

fn steps() -> NativeSteps {
    let mut steps = NativeSteps::new();
    for (id, deed) in [
        ("test/echo", Deed::Echo),
        ("test/talk", Deed::Talk),
        ("test/fail", Deed::Fail),
        ("test/hang", Deed::Hang),
    ] {
        let manifest = Manifest {
            id: id.to_owned(),
            version: "1.0.0".to_owned(),
            summary: format!("the test step {id}"),
            order: Order::default(),
            limits: Limits::default(),
            capabilities: Vec::new(),
            settings: json!({"type": "object"}),
            build: None,
        };
        let step = TestStep {
            manifest,
            digest: "native:1.0.0".to_owned(),
            deed,
        };
        steps.register(id, Arc::new(step));
    }
    steps
}

/// Echoes `inputs.text`.
pub const ECHO: &str = "
name: echo
inputs: { text: { type: string, default: hello } }
steps:
  - id: a
    uses: test/echo
    with: { text: \"${{ inputs.text }}\" }
outputs: { text: \"${{ steps.a.outputs.text }}\" }
";

/// Waits for approval.
pub const GATED: &str = "
name: gated
steps:
  - id: gate
    uses: test/echo
    with: { text: hello }
    approval: true
";

/// Never ends.
pub const HANG: &str = "
name: hang
steps:
  - { id: a, uses: test/hang, with: {} }
";

/// Fails.
pub const FAIL: &str = "
name: fail
steps:
  - { id: a, uses: test/fail, with: {} }
";

/// Says ten lines.
pub const TALK: &str = "
name: talk
steps:
  - { id: a, uses: test/talk, with: { count: 10 } }
";

/// Installs what needs no runtime: a component is the text of its manifest, and its step
/// echoes.
struct Manifests;

#[async_trait]
impl PluginHost for Manifests {
    fn inspect(&self, component: &[u8]) -> Result<Inspected, Refusal> {
        let refused = |reason: String| Refusal {
            reason,
            code: ErrorCode::Invalid,
        };
        let text = std::str::from_utf8(component).map_err(|error| refused(error.to_string()))?;
        let manifest = Manifest::parse(text).map_err(|error| refused(error.to_string()))?;
        Ok(Inspected {
            imports: manifest
                .capabilities
                .iter()
                .map(|wanted| format!("{}@0.1.0", wanted.name))
                .collect(),
            kind: Kind::WorkflowStep,
            digest: hex::encode(Sha256::digest(component)),
            size: component.len() as u64,
            manifest,
        })
    }

    async fn compile(&self, candidate: &Candidate) -> Result<Prepared, Refusal> {
        let component = std::fs::read(&candidate.file).unwrap();
        let step = TestStep {
            manifest: self.inspect(&component)?.manifest,
            digest: candidate.digest.clone(),
            deed: Deed::Echo,
        };
        Ok(Prepared {
            ready: Ready::Step(Arc::new(step)),
            settings: "{}".to_owned(),
        })
    }

    fn publish(&self, _: &Active) -> Result<(), Refusal> {
        Ok(())
    }

    fn set_grants(&self, _: &str, _: &PluginGrants) {}

    fn retire(&self, _: &str) {}
}

/// A component for [`Host`], wanting a tool where `wants` says so.
pub fn component(id: &str, version: &str, wants: bool) -> Vec<u8> {
    let mut text = format!("id = \"{id}\"\nversion = \"{version}\"\nsummary = \"echoes\"\n");
    if wants {
        text.push_str(
            "[[capabilities]]\nname = \"cofferdam:tool/tool\"\nwhy = \"to echo\"\n\
             [capabilities.grant.sh]\nprogram = \"sh\"\narguments = [\"-c\"]\n",
        );
    }
    text.into_bytes()
}

/// A host in a folder of its own. The folder goes with it.
pub struct Host {
    pub orchestrator: Arc<Orchestrator>,
    pub router: Router,
    pub folder: tempfile::TempDir,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The same answer, which must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }
}

impl Host {
    pub async fn new() -> Self {
        Self::with(ApiOptions::default()).await
    }

    pub async fn with(mut options: ApiOptions) -> Self {
        // For the clients; another test of this process may have done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        options.file_roots.push(folder.path().to_owned());
        let mut state = Options::new(folder.path().join("state"));
        state.plugins = Some(PluginOptions {
            host: Arc::new(Manifests),
            watch: CallWatch::new(BTreeMap::new()),
            grants: BTreeMap::new(),
        });
        let orchestrator = Orchestrator::open(state, Arc::new(steps())).unwrap();
        orchestrator.start_engine().await.unwrap();
        Self {
            router: cofferdam_api::router(Arc::clone(&orchestrator), options),
            orchestrator,
            folder,
        }
    }

    /// The owner.
    pub fn owner() -> Actor {
        Actor::local("owner")
    }

    /// A token of a new user with these roles.
    pub async fn user(&self, name: &str, roles: &[(&str, Role)]) -> String {
        let identity = &self.orchestrator.identity;
        let owner = Self::owner();
        identity.create_user(&owner, name).await.unwrap();
        for (project, role) in roles {
            identity
                .set_role(&owner, name, project, Some(*role))
                .await
                .unwrap();
        }
        self.token(name, None).await
    }

    /// Another token of a user.
    pub async fn token(&self, user: &str, valid_for: Option<Duration>) -> String {
        let request = TokenRequest {
            user: Some(user.to_owned()),
            label: "test".to_owned(),
            expires: valid_for.map(|time| cofferdam_store::Time::now().plus(time)),
        };
        let identity = &self.orchestrator.identity;
        let created = identity.create_token(&Self::owner(), request).await;
        created.unwrap().text.to_string()
    }

    /// Sends a request in process.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    /// As the owner.
    pub async fn local(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = request(method, path, None, body);
        request
            .extensions_mut()
            .insert(LocalActor::new(Some("owner".to_owned())));
        self.send(request).await
    }

    /// Sends a component as the owner.
    pub async fn upload(&self, query: &str, component: Vec<u8>) -> Answer {
        let path = format!("/api/v1/plugins{query}");
        let mut request = upload(&path, None, component);
        let owner = LocalActor::new(Some("owner".to_owned()));
        request.extensions_mut().insert(owner);
        self.send(request).await
    }

    /// Activates a version, waits until that is over, and gives the activation's id.
    pub async fn activate(&self, plugin: &str, version: &str) -> String {
        let path = format!("/api/v1/plugins/{plugin}/activate");
        let body = json!({"version": version});
        let begun = self
            .local("POST", &path, Some(body))
            .await
            .expect(202)
            .json();
        let ended = self.settled(&begun).await;
        assert_eq!(ended["outcome"], "active", "{ended:#}");
        begun["id"].as_str().unwrap().to_owned()
    }

    /// Waits until no activation of the plugin goes on.
    pub async fn at_rest(&self, plugin: &str) {
        let path = format!("/api/v1/plugins/{plugin}/history?limit=1");
        let page = self.local("GET", &path, None).await.expect(200).json();
        for activation in page["items"].as_array().unwrap() {
            self.settled(activation).await;
        }
    }

    /// Waits until an activation is over, and gives how it ended.
    pub async fn settled(&self, activation: &Value) -> Value {
        let id = activation["id"].as_str().unwrap();
        let ended = self.orchestrator.plugins.finished(id).await.unwrap();
        serde_json::to_value(ended).unwrap()
    }

    /// As if a step of the run had made this file.
    pub fn made(&self, run: &str, name: &str, content: &[u8]) {
        let path = self.folder.path().join(name.replace('/', "-"));
        std::fs::write(&path, content).unwrap();
        let artifact = NewArtifact {
            name: name.to_owned(),
            path: path.to_str().unwrap().to_owned(),
            size: content.len() as u64,
            sha256: None,
        };
        let store = &self.orchestrator.store;
        store.record_artifact(run, &artifact).unwrap();
    }

    /// With a token.
    pub async fn with_token(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        self.send(request(method, path, Some(token), body)).await
    }

    /// Starts a run as the owner and gives its id.
    pub async fn start(&self, project: &str, source: &str) -> String {
        let body = json!({"project": project, "workflow": {"source": source}});
        let answer = self.local("POST", "/api/v1/runs", Some(body)).await;
        let run = answer.expect(201).json();
        run["run"]["id"].as_str().unwrap().to_owned()
    }

    /// Waits until the run's state is `state`.
    pub async fn wait(&self, run: &str, state: &str) -> Value {
        for _ in 0..3000 {
            let path = format!("/api/v1/runs/{run}");
            let view = self.local("GET", &path, None).await.expect(200).json();
            if view["run"]["state"] == state {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let path = format!("/api/v1/runs/{run}");
        panic!(
            "no {state}: {}",
            self.local("GET", &path, None).await.text()
        );
    }

    /// Serves on a free port of this machine.
    pub async fn serve(&self, listen: ListenOptions, options: ServeOptions) -> Served {
        let listeners = Listeners::bind(listen).await.unwrap();
        let addresses = listeners.addresses();
        let (stop, stopped) = oneshot::channel::<()>();
        let router = self.router.clone();
        let task = tokio::spawn(async move {
            cofferdam_api::serve(listeners, router, options, async {
                let _ = stopped.await;
            })
            .await
        });
        Served {
            address: addresses.first().copied(),
            stop: Some(stop),
            task,
        }
    }

    /// Serves without TLS on a free loopback port, with the usual options.
    pub async fn serve_plain(&self) -> Served {
        self.serve(loopback(), ServeOptions::default()).await
    }
}

/// A free port of 127.0.0.1.
pub fn loopback() -> ListenOptions {
    ListenOptions {
        addresses: vec![([127, 0, 0, 1], 0).into()],
        ..ListenOptions::default()
    }
}

/// A host on a socket.
pub struct Served {
    address: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    pub task: tokio::task::JoinHandle<Result<(), cofferdam_api::ServeError>>,
}

impl Served {
    pub fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// Tells it to stop.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }
}

/// A request that hands a component over.
pub fn upload(path: &str, token: Option<&str>, component: Vec<u8>) -> Request<Body> {
    let mut request = Request::post(path).header(CONTENT_TYPE, "application/wasm");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(Body::from(component)).unwrap()
}

pub fn request(
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<Value>,
) -> Request<Body> {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(path);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    match body {
        Some(body) => request
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap(),
        None => request.body(Body::empty()).unwrap(),
    }
}
