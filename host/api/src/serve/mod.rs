//! From sockets to the router: own accept loops over hyper's HTTP/1.1 connections.
//!
//! **Problem.** A server must not be held up by clients that connect and say nothing,
//! send a header a byte a minute, or never read the answer, and when it is told to stop
//! it has to finish what it began without waiting for ever.
//!
//! **Design.** Each listener accepts only while a connection is free to be had. A
//! connection has a time for its TLS handshake, for each header (an idle keep-alive
//! connection counts as waiting for one) and for the socket to take bytes ([`stall`]).
//! On shutdown listeners close, requests in flight end, event streams and WebSockets are
//! told by [`Closing`]; whoever is not done at the deadline is cut off.
//!
//! **Who is local.** A connection over the Unix socket carries a [`LocalActor`]: the
//! socket's mode and a check of the peer's user id stand for authentication. Request
//! extensions are not part of HTTP, so no client can send one; connections from the
//! network never get it.
//!
//! **Limits.** HTTP/1.1 only; a proxy in front can speak the others. Certificates are
//! read at start.

mod connection;
mod listen;
mod stall;
mod tls;

pub use connection::Closing;
pub use listen::{ListenOptions, Listeners};
pub use tls::TlsFiles;

use crate::auth::LocalActor;
use axum::Router;
use connection::Connections;
use listen::Listener;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{Semaphore, watch};

/// Why the API cannot be served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address that others can reach, without TLS.
    #[error(
        "{address} can be reached from the network, and without TLS tokens would travel in the clear; listen on 127.0.0.1 or [::1], or configure a certificate and a key"
    )]
    TlsRequired {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another server running there?")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The Unix socket cannot be made.
    #[error("cannot listen on the socket {path}: {source}")]
    Socket {
        /// Where it was to be.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A certificate or key file cannot be used.
    #[error("cannot use the TLS {what} {path}: {reason}")]
    Tls {
        /// `certificate` or `key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is nothing to listen on.
    #[error("there is nothing to listen on; give an address or a socket")]
    Nowhere,
}

/// Limits of connections. What a request may do is said by
/// [`ApiOptions`](crate::ApiOptions).
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Connections from the network at once; further ones wait to be accepted.
    pub max_connections: usize,
    /// Connections over the Unix socket at once, counted apart.
    pub max_local_connections: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a client may take from connecting, or from the last answer, to the end
    /// of its next header.
    pub header_timeout: Duration,
    /// How long the socket may refuse bytes that wait to be sent.
    pub write_timeout: Duration,
    /// How long shutdown waits for requests in flight.
    pub shutdown_timeout: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_local_connections: 256,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// Serves `router` on `listeners` until `shutdown` is ready, then lets connections end,
/// for at most [`ServeOptions::shutdown_timeout`].
///
/// Runs belong to the orchestrator and are not touched: whoever calls this stops the
/// engine afterwards.
pub async fn serve(
    listeners: Listeners,
    router: Router,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let Listeners {
        listeners,
        local_user,
    } = listeners;
    if listeners.is_empty() {
        return Err(ServeError::Nowhere);
    }
    let (closing, watcher) = watch::channel(false);
    let connections = Arc::new(Connections {
        router,
        network: Arc::new(Semaphore::new(options.max_connections)),
        local: Arc::new(Semaphore::new(options.max_local_connections)),
        local_actor: LocalActor::new(local_user),
        options: options.clone(),
    });
    let mut loops = tokio::task::JoinSet::new();
    for listener in listeners {
        loops.spawn(accept(
            listener,
            Arc::clone(&connections),
            Closing::new(watcher.clone()),
        ));
    }
    drop(watcher);
    shutdown.await;
    tracing::info!("closing: no new connections are taken");
    // Nobody to tell is what is wanted.
    let _ = closing.send(true);
    let all_gone = async {
        while loops.join_next().await.is_some() {}
        // Every connection and every stream holds a receiver.
        closing.closed().await;
    };
    if tokio::time::timeout(options.shutdown_timeout, all_gone)
        .await
        .is_err()
    {
        tracing::warn!(
            connections = closing.receiver_count(),
            "cutting off what did not end in time"
        );
    }
    Ok(())
}

/// Accepts until closing begins.
async fn accept(listener: Listener, connections: Arc<Connections>, closing: Closing) {
    loop {
        let permits = if listener.is_local() {
            &connections.local
        } else {
            &connections.network
        };
        let accepted = async {
            // The semaphore is never closed.
            let permit = Arc::clone(permits).acquire_owned().await.ok()?;
            Some((permit, listener.accept().await))
        };
        let (permit, stream) = tokio::select! {
            () = closing.begun() => return,
            accepted = accepted => match accepted {
                Some(accepted) => accepted,
                None => return,
            },
        };
        match stream {
            Ok(stream) => {
                let connections = Arc::clone(&connections);
                let closing = closing.clone();
                tokio::spawn(async move {
                    connections.run(stream, closing).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Too many open files, or a client that was gone before it was accepted.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
