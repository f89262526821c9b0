//! A server on this machine that remembers what it was asked.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

/// A server; it ends with the test.
pub struct Site {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<String>>,
    received: AtomicUsize,
    waiting: AtomicUsize,
}

/// Counts a request that is not answered as long as it is there.
struct Waiting(Arc<Seen>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn remember(State(seen): State<Arc<Seen>>, request: Request, next: Next) -> Response {
    let line = format!("{} {}", request.method(), request.uri().path());
    seen.requests.lock().unwrap().push(line);
    next.run(request).await
}

async fn never(State(seen): State<Arc<Seen>>) {
    seen.waiting.fetch_add(1, Ordering::SeqCst);
    let _waiting = Waiting(seen);
    std::future::pending::<()>().await;
}

async fn count(State(seen): State<Arc<Seen>>, body: axum::body::Body) -> String {
    use axum::body::HttpBody;
    let mut body = std::pin::pin!(body);
    let mut length = 0;
    while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await
    {
        let Ok(frame) = frame else { break };
        let bytes: Bytes = frame.into_data().unwrap_or_default();
        length += bytes.len();
        seen.received.fetch_add(bytes.len(), Ordering::SeqCst);
    }
    length.to_string()
}

impl Site {
    /// Listens at an address with the port 0.
    pub async fn start(address: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Seen::default());
        let elsewhere = format!("http://{address}/hello");
        let hello = |RawQuery(query): RawQuery| async move {
            format!("hello {}", query.unwrap_or_default())
        };
        let redirect =
            || async move { (StatusCode::FOUND, [(header::LOCATION, elsewhere)]).into_response() };
        let router = Router::new()
            .route("/hello", get(hello))
            .route("/redirect", get(redirect))
            .route("/never", get(never))
            .route("/big", get(|| async { vec![b'y'; 1 << 20] }))
            .route("/count", any(count))
            .fallback(|| async { "something" })
            .layer(from_fn_with_state(Arc::clone(&seen), remember))
            .with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, seen })
    }

    /// Listens with TLS at another port, with a certificate that nobody trusts.
    pub async fn start_tls(&self) -> u16 {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.unwrap())
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::clone(&self.seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut bytes = [0; 1024];
                if stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {
                    seen.requests.lock().unwrap().push("TLS".to_owned());
                }
            }
        });
        port
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `ADDRESS:PORT`.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// Methods and paths so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// Begins anew.
    pub fn forget(&self) {
        self.seen.requests.lock().unwrap().clear();
    }

    /// Bytes of bodies that arrived at `/count`.
    pub fn received(&self) -> usize {
        self.seen.received.load(Ordering::SeqCst)
    }

    /// Waits until nobody waits at `/never` any more.
    pub async fn all_hung_up(&self) {
        let gone = async {
            while self.seen.waiting.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let gone = tokio::time::timeout(Duration::from_secs(20), gone).await;
        assert!(gone.is_ok(), "a connection outlived its call");
    }
}
