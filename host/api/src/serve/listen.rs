//! What to listen on, and the rule that tokens never cross a network in the clear.

use super::ServeError;
use super::tls::TlsFiles;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;

/// What to listen on.
#[derive(Debug, Clone, Default)]
pub struct ListenOptions {
    /// Addresses. Without TLS only loopback ones are accepted.
    pub addresses: Vec<SocketAddr>,
    /// Certificate and key for the addresses.
    pub tls: Option<TlsFiles>,
    /// A Unix socket for the user who runs the host.
    pub socket: Option<PathBuf>,
    /// Who is acting when a request comes over the socket.
    pub local_user: Option<String>,
}

/// Sockets that are listened on. Dropping them removes the Unix socket's file.
pub struct Listeners {
    pub(super) listeners: Vec<Listener>,
    pub(super) local_user: Option<String>,
}

impl Listeners {
    /// Binds everything or nothing.
    pub async fn bind(options: ListenOptions) -> Result<Self, ServeError> {
        let acceptor = match &options.tls {
            Some(files) => Some(files.acceptor()?),
            None => None,
        };
        let mut listeners = Vec::new();
        for address in options.addresses {
            if acceptor.is_none() && !address.ip().to_canonical().is_loopback() {
                return Err(ServeError::TlsRequired { address });
            }
            let listener = TcpListener::bind(address)
                .await
                .map_err(|source| ServeError::Bind { address, source })?;
            listeners.push(Listener::Tcp {
                listener,
                acceptor: acceptor.clone(),
            });
        }
        if let Some(path) = options.socket {
            let listener = bind_private(&path).map_err(|source| ServeError::Socket {
                path: path.clone(),
                source,
            })?;
            listeners.push(Listener::Unix {
                listener,
                _file: SocketFile(path),
            });
        }
        Ok(Self {
            listeners,
            local_user: options.local_user,
        })
    }

    /// The addresses listened on, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let tcp = self.listeners.iter().filter_map(|one| match one {
            Listener::Tcp { listener, .. } => listener.local_addr().ok(),
            Listener::Unix { .. } => None,
        });
        tcp.collect()
    }
}

pub(super) enum Listener {
    Tcp {
        listener: TcpListener,
        acceptor: Option<TlsAcceptor>,
    },
    Unix {
        listener: UnixListener,
        _file: SocketFile,
    },
}

/// An accepted connection.
pub(super) enum Stream {
    Tcp {
        stream: TcpStream,
        address: SocketAddr,
        acceptor: Option<TlsAcceptor>,
    },
    Unix(UnixStream),
}

impl Listener {
    pub(super) fn is_local(&self) -> bool {
        matches!(self, Self::Unix { .. })
    }

    pub(super) async fn accept(&self) -> std::io::Result<Stream> {
        match self {
            Self::Tcp { listener, acceptor } => {
                let (stream, address) = listener.accept().await?;
                // Small answers and events should not wait for a full segment.
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp {
                    stream,
                    address,
                    acceptor: acceptor.clone(),
                })
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let peer = stream.peer_cred()?.uid();
                let own = rustix::process::geteuid().as_raw();
                if peer != own && peer != 0 {
                    return Err(std::io::Error::new(
                        std::io::ErrorKind::PermissionDenied,
                        format!("user {peer} may not use the socket of user {own}"),
                    ));
                }
                Ok(Stream::Unix(stream))
            }
        }
    }
}

/// Removed when nobody listens any more.
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "the socket's file stays");
        }
    }
}

/// A listener at `path` that only its owner can connect to, at no moment anybody else:
/// it gets its mode under another name before it has this one. What is left of a host
/// that was killed is replaced.
fn bind_private(path: &Path) -> std::io::Result<UnixListener> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&temporary)?;
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&temporary, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_tls_only_loopback() {
        for (address, fine) in [
            ("127.0.0.1:0", true),
            ("127.9.9.9:0", true),
            ("[::ffff:127.0.0.1]:0", true),
            ("0.0.0.0:0", false),
            ("[::]:0", false),
            ("192.0.2.1:0", false),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            let bound = Listeners::bind(ListenOptions {
                addresses: vec![address],
                ..ListenOptions::default()
            })
            .await;
            match bound {
                Ok(listeners) => {
                    assert!(fine, "{address}");
                    assert_ne!(listeners.addresses()[0].port(), 0);
                }
                Err(error) => {
                    assert!(!fine, "{address}: {error}");
                    assert!(matches!(error, ServeError::TlsRequired { .. }), "{error}");
                    assert!(error.to_string().contains("configure a certificate"));
                }
            }
        }
    }

    #[tokio::test]
    async fn the_socket_is_its_owners_and_goes_with_the_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host.sock");
        std::fs::write(&path, "left over").unwrap();
        let options = ListenOptions {
            socket: Some(path.clone()),
            ..ListenOptions::default()
        };
        let listeners = Listeners::bind(options).await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(listeners);
        assert!(!path.exists());
    }
}
