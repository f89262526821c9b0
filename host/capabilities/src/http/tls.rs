//! TLS towards servers, trusting what the platform trusts.

use super::charged::Charged;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wasmtime_wasi_http::Error;

/// Made at the first use: the platform's certificates are read from files.
static CONFIG: OnceCell<Arc<ClientConfig>> = OnceCell::const_new();

/// A connection, open to read for those on the way or not.
pub(super) enum Stream {
    /// As it is.
    Plain(Charged<TcpStream>),
    /// With TLS.
    Secure(Box<TlsStream<Charged<TcpStream>>>),
}

fn configured() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(Arc::new(config))
}

async fn config() -> Result<Arc<ClientConfig>, Error> {
    let made = CONFIG.get_or_try_init(|| async {
        tokio::task::spawn_blocking(configured)
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)
    });
    made.await.cloned().map_err(Error::Tls)
}

/// Speaks TLS with `host`, whose certificate has to be for that name or address.
pub(super) async fn secure(host: &str, stream: Charged<TcpStream>) -> Result<Stream, Error> {
    let name = match host.parse::<IpAddr>() {
        Ok(address) => ServerName::from(address),
        Err(_) => ServerName::try_from(host.to_owned())
            .map_err(|error| Error::Tls(io::Error::other(error)))?,
    };
    let connector = TlsConnector::from(config().await?);
    let stream = connector.connect(name, stream).await.map_err(Error::Tls)?;
    Ok(Stream::Secure(Box::new(stream)))
}

/// Whether a handshake failed because the server's certificate is not trusted.
pub(super) fn is_about_the_certificate(error: &io::Error) -> bool {
    let inner = error.get_ref();
    matches!(
        inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()),
        Some(rustls::Error::InvalidCertificate(_))
    )
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Secure(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Secure(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Secure(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Secure(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
