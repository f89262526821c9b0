//! From a host to a connection to an address that was judged.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use tokio::net::TcpStream;
use wasmtime_wasi_http::Error;

/// The most addresses of one name that are looked at.
const MOST_ADDRESSES: usize = 32;

/// What is to be connected to.
pub(super) struct Target<'a> {
    /// A name, or an address without brackets.
    pub(super) host: &'a str,
    pub(super) port: u16,
}

/// Connects to the first address of the host that `judge` allows and that answers.
///
/// # Errors
/// `destination-IP-prohibited` where none is allowed; what hindered the last one else.
pub(super) async fn connect(
    target: Target<'_>,
    judge: impl Fn(IpAddr) -> Result<(), ()>,
) -> Result<TcpStream, Error> {
    let mut failure = Error::DestinationIpProhibited;
    for address in look_up(&target).await? {
        if judge(address.ip()).is_err() {
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // A guest writes in pieces that are to arrive as they are.
                stream.set_nodelay(true).map_err(Error::Connect)?;
                return Ok(stream);
            }
            Err(error) => failure = Error::Connect(error),
        }
    }
    Err(failure)
}

async fn look_up(target: &Target<'_>) -> Result<Vec<SocketAddr>, Error> {
    if let Ok(address) = target.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, target.port)]);
    }
    let named = (target.host.to_owned(), target.port);
    let found = tokio::task::spawn_blocking(move || {
        let found = named.to_socket_addrs();
        found.map(|found| found.take(MOST_ADDRESSES).collect::<Vec<_>>())
    })
    .await;
    let not_found = |reason: String| Error::DnsError {
        rcode: Some(reason),
        info_code: None,
    };
    let found = found.map_err(|error| not_found(error.to_string()))?;
    let found = found.map_err(|error| not_found(error.to_string()))?;
    if found.is_empty() {
        return Err(not_found("the name has no address".to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn only_judged_addresses_are_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["localhost", "127.0.0.1", "::ffff:127.0.0.1"] {
            let target = Target { host, port };
            let refused = connect(target, |_| Err(())).await;
            assert!(
                matches!(refused, Err(Error::DestinationIpProhibited)),
                "{host}"
            );
        }
        let waiting = tokio::time::timeout(std::time::Duration::ZERO, listener.accept()).await;
        assert!(waiting.is_err(), "nobody connected");

        let is_v4 = |address: IpAddr| if address.is_ipv4() { Ok(()) } else { Err(()) };
        let host = "localhost";
        let stream = connect(Target { host, port }, is_v4).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap().ip().to_string(), "127.0.0.1");
    }

    #[tokio::test]
    async fn names_that_do_not_exist_are_an_error_of_the_lookup() {
        let target = Target {
            host: "no-such-host.invalid",
            port: 1,
        };
        let error = connect(target, |_| Ok(())).await.unwrap_err();
        assert!(matches!(error, Error::DnsError { .. }), "{error}");
    }
}
