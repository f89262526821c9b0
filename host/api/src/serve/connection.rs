//! One connection, from its handshake to its end.

use super::ServeOptions;
use super::listen::Stream;
use super::stall::StallGuard;
use crate::auth::{LocalActor, PeerAddress};
use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

/// Tells long answers (event streams, WebSockets) that the server closes. Holding one
/// holds up the shutdown, until its deadline.
#[derive(Debug, Clone)]
pub struct Closing(watch::Receiver<bool>);

impl Closing {
    pub(super) fn new(watcher: watch::Receiver<bool>) -> Self {
        Self(watcher)
    }

    /// Ready once closing has begun.
    pub async fn begun(&self) {
        // A sender that is gone closes too.
        let _ = self.0.clone().wait_for(|closing| *closing).await;
    }
}

pub(super) struct Connections {
    pub(super) router: Router,
    pub(super) network: Arc<Semaphore>,
    pub(super) local: Arc<Semaphore>,
    pub(super) local_actor: LocalActor,
    pub(super) options: ServeOptions,
}

impl Connections {
    pub(super) async fn run(&self, stream: Stream, closing: Closing) {
        match stream {
            Stream::Unix(stream) => {
                self.http(stream, Peer::Local(self.local_actor.clone()), closing)
                    .await;
            }
            Stream::Tcp {
                stream,
                address,
                acceptor: None,
            } => self.http(stream, Peer::Network(address), closing).await,
            Stream::Tcp {
                stream,
                address,
                acceptor: Some(acceptor),
            } => {
                let handshake =
                    tokio::time::timeout(self.options.handshake_timeout, acceptor.accept(stream));
                tokio::select! {
                    () = closing.begun() => {}
                    handshake = handshake => match handshake {
                        Ok(Ok(stream)) => {
                            self.http(stream, Peer::Network(address), closing).await;
                        }
                        Ok(Err(error)) => tracing::debug!(%address, %error, "TLS handshake failed"),
                        Err(_) => tracing::debug!(%address, "TLS handshake took too long"),
                    }
                }
            }
        }
    }

    async fn http<S>(&self, stream: S, peer: Peer, closing: Closing)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = self.router.clone();
        let told = closing.clone();
        let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(told.clone());
            match &peer {
                Peer::Local(actor) => {
                    request.extensions_mut().insert(actor.clone());
                }
                Peer::Network(address) => {
                    request.extensions_mut().insert(PeerAddress(*address));
                }
            }
            router.clone().oneshot(request.map(axum::body::Body::new))
        });
        let stream = StallGuard::new(stream, self.options.write_timeout);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.options.header_timeout)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = closing.begun() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke off");
        }
    }
}

/// Who is at the other end.
enum Peer {
    Local(LocalActor),
    Network(SocketAddr),
}
