//! `wasi:http`: requests that the operator granted.
//!
//! **Problem.** A plugin that may talk to one service must not reach another by way of it:
//! neither by a name that leads to this machine, nor by a redirect, nor by an address in an
//! unusual form.
//!
//! **Design.** wasmtime's `wasi:http` gives the resources; what sends is ours. A request is
//! held against the grant ([`Outbound`]), its host is looked up here, each address is held
//! against the grant too, and exactly the address that was judged is connected to
//! ([`connect`]). TLS trusts what the platform trusts ([`tls`]). Every byte that goes over
//! the connection either way, TLS and headers included, is charged to the call's egress
//! limit ([`charged`]). One request has one connection; nothing is followed, kept or cached.
//!
//! A refusal is `HTTP-request-denied` to the guest, or `destination-IP-prohibited` where it
//! was the address; neither carries a text, so what was denied and which scope denied it is
//! a line in the run's log.
//!
//! **Limits.** HTTP/1.1 only, through no proxy. Everything ends with the call. A lookup
//! cannot be stopped: one that hangs holds a thread for blocking work until the resolver
//! gives up.

mod charged;
mod connect;
mod send;
mod tls;

use crate::host::Service;
use cofferdam_contract::services::{Context, Outbound, OutboundRequest};
use cofferdam_contract::types::{Error as Refusal, Level};
use cofferdam_runtime::{Capability, EgressBudget, State};
use http::Request;
use send::{Sending, Sent};
use std::future::{Future, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::sync::Semaphore;
use wasmtime::component::Linker;
use wasmtime_wasi_http::p2::bindings::LinkOptions;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p2::bindings::http::{outgoing_handler, types};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
};

/// What a guest is told whose budget is spent; `wasi:http` has no code for it.
const SPENT: &str = "the egress limit of the call is reached";

/// The most connections of one instance at once.
const MOST_CONNECTIONS: usize = 16;

/// The most refusals of one instance that are logged.
const MOST_TOLD: usize = 16;

/// The longest of those lines, bytes: hosts and paths are as long as the guest likes.
const LONGEST_TOLD: usize = 2 << 10;

/// `wasi:http`.
pub(crate) struct HttpCapability;

impl Capability for HttpCapability {
    fn interface(&self) -> &'static str {
        cofferdam_contract::grants::HTTP
    }

    fn add_to_linker(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        let options = LinkOptions::default();
        outgoing_handler::add_to_linker::<_, WasiHttp>(linker, view)?;
        types::add_to_linker::<_, WasiHttp>(linker, &options.into(), view)
    }
}

/// What an instance's requests go through.
struct Http {
    context: WasiHttpCtx,
    hooks: Hooks,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            context: WasiHttpCtx::new(),
            hooks: Hooks {
                call: None,
                connections: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
                told: Arc::default(),
            },
        }
    }
}

struct Hooks {
    call: Option<Caller>,
    connections: Arc<Semaphore>,
    told: Arc<AtomicUsize>,
}

/// The call that is going on.
#[derive(Clone)]
struct Caller {
    plugin: String,
    context: Arc<dyn Context>,
    /// None where an instance was started without a scope: it may send nothing.
    scope: Option<Arc<dyn Outbound>>,
    budget: Arc<EgressBudget>,
    deadline: Option<Instant>,
    /// How many refusals were logged of this instance.
    told: Arc<AtomicUsize>,
}

fn view(state: &mut State) -> WasiHttpCtxView<'_> {
    let scope = state.extensions().get::<Service<dyn Outbound>>();
    let scope = scope.map(|service| Arc::clone(&service.0));
    let (plugin, context, budget) = (
        state.plugin().to_owned(),
        Arc::clone(state.context()),
        state.egress(),
    );
    let left = state.time_left();
    let (extensions, table) = state.extensions_and_table();
    let http: &mut Http = extensions.get_or_default();
    http.hooks.call = Some(Caller {
        plugin,
        context,
        scope,
        budget,
        deadline: left.and_then(|left| Instant::now().checked_add(left)),
        told: Arc::clone(&http.hooks.told),
    });
    WasiHttpCtxView {
        hooks: &mut http.hooks,
        table,
        ctx: &mut http.context,
    }
}

impl Caller {
    /// Says in the run's log what was denied and by which scope.
    fn tell(&self, refusal: &Refusal) {
        if self.told.fetch_add(1, Ordering::Relaxed) >= MOST_TOLD {
            return;
        }
        let hint = refusal.hint.as_deref().unwrap_or_default();
        let mut message = format!("denied: {} ({hint})", refusal.message);
        let end = message.floor_char_boundary(LONGEST_TOLD);
        message.truncate(end);
        self.context.log(&self.plugin, Level::Warn, &message, &[]);
    }
}

impl Hooks {
    /// Takes a request on, where the grant allows it.
    fn admit(&mut self, request: &Request<WasiBody>) -> Result<Sending, Error> {
        let target = target(request).ok_or(Error::HttpRequestUriInvalid)?;
        let Some(caller) = self.call.clone() else {
            return Err(Error::HttpRequestDenied);
        };
        let Some(scope) = caller.scope.clone() else {
            return Err(Error::HttpRequestDenied);
        };
        if let Err(refusal) = scope.request(&target) {
            caller.tell(&refusal);
            return Err(Error::HttpRequestDenied);
        }
        let connection = Arc::clone(&self.connections)
            .try_acquire_owned()
            .map_err(|_| Error::ConnectionLimitReached)?;
        Ok(Sending {
            caller,
            scope,
            target,
            connection,
        })
    }
}

/// What a grant looks at; none where the address cannot be meant for anyone.
fn target(request: &Request<WasiBody>) -> Option<OutboundRequest> {
    let uri = request.uri();
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let authority = uri.authority()?;
    // A user's name before the host is a favourite disguise of it.
    if authority.as_str().contains('@') {
        return None;
    }
    let port = match (authority.as_str().rsplit_once(':'), authority.port_u16()) {
        (_, Some(port)) => port,
        (Some((_, rest)), None) if !rest.ends_with(']') => return None,
        _ if scheme == "https" => 443,
        _ => 80,
    };
    let host = authority.host();
    let inside = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host = inside.unwrap_or(host);
    let host = host.strip_suffix('.').unwrap_or(host);
    Some(OutboundRequest {
        method: request.method().as_str().to_owned(),
        scheme,
        host: host.to_ascii_lowercase(),
        port,
        path: uri.path().to_owned(),
    })
}

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        match self.admit(&request) {
            Ok(sending) => Box::new(sending.send(request, options.unwrap_or_default())),
            Err(error) => Box::new(ready(Err(error))),
        }
    }

    fn p2_error_from_hyper(&mut self, error: &hyper::Error) -> ErrorCode {
        let spent = self
            .call
            .as_ref()
            .is_some_and(|call| call.budget.is_spent());
        if spent {
            return ErrorCode::InternalError(Some(SPENT.to_owned()));
        }
        tracing::debug!(%error, "a plugin's HTTP request failed");
        if error.is_timeout() {
            ErrorCode::HttpResponseTimeout
        } else if error.is_incomplete_message() {
            ErrorCode::HttpResponseIncomplete
        } else {
            ErrorCode::HttpProtocolError
        }
    }

    fn p2_error_from_connect(&mut self, error: &std::io::Error) -> ErrorCode {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::ConnectionRefused => ErrorCode::ConnectionRefused,
            ErrorKind::TimedOut => ErrorCode::ConnectionTimeout,
            ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => {
                ErrorCode::DestinationIpUnroutable
            }
            _ => ErrorCode::DestinationUnavailable,
        }
    }

    fn p2_error_from_tls(&mut self, error: &std::io::Error) -> ErrorCode {
        tracing::debug!(%error, "a plugin's TLS handshake failed");
        if tls::is_about_the_certificate(error) {
            ErrorCode::TlsCertificateError
        } else {
            ErrorCode::TlsProtocolError
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Empty};

    fn request(uri: &str) -> Request<WasiBody> {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        Request::builder().uri(uri).body(body).unwrap()
    }

    #[test]
    fn hosts_and_ports_are_read_as_they_will_be_connected_to() {
        for (uri, host, port, path) in [
            ("https://A.Test/x?y=1", "a.test", 443, "/x"),
            ("http://a.test", "a.test", 80, "/"),
            ("http://a.test.:8080/", "a.test", 8080, "/"),
            ("https://[::1]/", "::1", 443, "/"),
            ("https://[::1]:8443/", "::1", 8443, "/"),
            ("http://127.0.0.1:1/a/../b", "127.0.0.1", 1, "/a/../b"),
        ] {
            let target = target(&request(uri)).unwrap();
            assert_eq!(
                (target.host.as_str(), target.port, target.path.as_str()),
                (host, port, path),
                "{uri}"
            );
        }
        for uri in [
            "http://good.test@evil.test/",
            "http://u:p@evil.test/",
            "http://a.test:99999/",
            "http://a.test:/",
            "/only/a/path",
        ] {
            assert_eq!(target(&request(uri)), None, "{uri}");
        }
    }
}
