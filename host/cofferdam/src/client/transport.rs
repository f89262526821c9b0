//! How a request reaches a host.

use super::problem::ClientError;
use super::{Ask, query};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tower::ServiceExt;

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a server may be silent. Event streams have a comment more often than that.
const SILENCE: Duration = Duration::from_secs(90);

/// A body as it comes; the error says why it ended early.
pub type ByteStream = BoxStream<'static, Result<Bytes, String>>;

/// What came back.
pub struct Reply {
    /// How it went.
    pub status: StatusCode,
    /// The body.
    pub body: ByteStream,
}

/// One way to a host.
#[derive(Clone)]
pub enum Transport {
    /// The router of the host in this process. Who asks is an extension of the router.
    InProcess(Router),
    /// The socket of the host that holds the state folder. Who may open it is the folder's
    /// owner, and needs no token.
    Socket {
        /// The client, bound to the socket.
        http: reqwest::Client,
        /// The socket.
        path: PathBuf,
    },
    /// A server.
    Server {
        /// The client, with the token in its headers.
        http: reqwest::Client,
        /// The address, without a slash at its end.
        url: String,
    },
}

/// How to reach a server.
#[derive(Debug, Default)]
pub struct ServerOptions {
    /// Its address.
    pub url: String,
    /// The token, if there is one.
    pub token: Option<String>,
    /// Certificates (PEM) instead of the system's.
    pub ca: Option<Vec<u8>>,
}

impl Transport {
    /// To the host behind a socket.
    pub fn socket(path: &Path) -> Result<Self, ClientError> {
        crate::host::tls::install_provider();
        let http = reqwest::Client::builder()
            .unix_socket(path)
            .no_proxy()
            .build()
            .map_err(|error| ClientError::Setup(chain(&error)))?;
        Ok(Self::Socket {
            http,
            path: path.to_owned(),
        })
    }

    /// To a server.
    pub fn server(options: &ServerOptions) -> Result<Self, ClientError> {
        crate::host::tls::install_provider();
        let url = options.url.trim_end_matches('/').to_owned();
        let parsed = reqwest::Url::parse(&url).map_err(|error| {
            ClientError::Setup(format!(
                "{url:?} is not the address of a server ({error}); it looks like https://host:7419"
            ))
        })?;
        if !["http", "https"].contains(&parsed.scheme()) {
            return Err(ClientError::Setup(format!(
                "{url} is neither http:// nor https://"
            )));
        }
        let mut headers = HeaderMap::new();
        if let Some(token) = &options.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                ClientError::Setup("the token has characters that no token has".to_owned())
            })?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            // A token must not follow a redirect to somebody else.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = &options.ca {
            let certificates = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|error| ClientError::Setup(format!("--ca: {}", chain(&error))))?;
            builder = builder.tls_certs_only(certificates);
        }
        let http = builder
            .build()
            .map_err(|error| ClientError::Setup(chain(&error)))?;
        Ok(Self::Server { http, url })
    }

    /// Whether the host sees the same files.
    pub const fn is_local(&self) -> bool {
        !matches!(self, Self::Server { .. })
    }

    /// Whether the host is another process.
    pub const fn outlives_us(&self) -> bool {
        !matches!(self, Self::InProcess(_))
    }

    /// Asks.
    pub async fn send(&self, ask: Ask) -> Result<Reply, ClientError> {
        match self {
            Self::InProcess(router) => in_process(router.clone(), ask).await,
            Self::Socket { http, .. } => self.over_http(http, "http://host", ask).await,
            Self::Server { http, url } => self.over_http(http, url, ask).await,
        }
    }

    async fn over_http(
        &self,
        http: &reqwest::Client,
        base: &str,
        ask: Ask,
    ) -> Result<Reply, ClientError> {
        let mut url = format!("{base}{}", ask.path);
        if !ask.query.is_empty() {
            url = format!("{url}?{}", query(&ask.query));
        }
        let mut request = http.request(ask.method, url);
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        if let Some(content) = ask.body {
            let (media, bytes) = content.encoded();
            request = request.header(header::CONTENT_TYPE, media).body(bytes);
        }
        let response = request
            .send()
            .await
            .map_err(|error| unanswered(self.to_string(), chain(&error), error.is_connect()))?;
        Ok(Reply {
            status: response.status(),
            body: response
                .bytes_stream()
                .map_err(|error| chain(&error))
                .boxed(),
        })
    }
}

async fn in_process(router: Router, ask: Ask) -> Result<Reply, ClientError> {
    let mut uri = ask.path;
    if !ask.query.is_empty() {
        uri = format!("{uri}?{}", query(&ask.query));
    }
    let mut request = Request::builder().method(ask.method).uri(uri);
    for (name, value) in ask.headers {
        request = request.header(name, value);
    }
    let body = match ask.body {
        Some(content) => {
            let (media, bytes) = content.encoded();
            request = request.header(header::CONTENT_TYPE, media);
            Body::from(bytes)
        }
        None => Body::empty(),
    };
    let request = request
        .body(body)
        .map_err(|error| ClientError::Setup(error.to_string()))?;
    let response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (parts, body) = response.into_parts();
    Ok(Reply {
        status: parts.status,
        body: body
            .into_data_stream()
            .map_err(|error| error.to_string())
            .boxed(),
    })
}

/// Why `host` gave no answer. rustls has no type for what its verifier says but the text.
fn unanswered(host: String, reason: String, connecting: bool) -> ClientError {
    if reason.contains("CaUsedAsEndEntity") {
        ClientError::Authority { host }
    } else if connecting {
        ClientError::NobodyListens { host, reason }
    } else {
        ClientError::Unreachable { host, reason }
    }
}

/// An error with its causes, in one line: reqwest's own message names none of them.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

impl fmt::Display for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InProcess(_) => formatter.write_str("the host in this process"),
            Self::Socket { path, .. } => write!(formatter, "the host at {}", path.display()),
            Self::Server { url, .. } => write!(formatter, "the server {url}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_of_an_authority_says_how_to_make_one_of_a_server() {
        // What rustls says of one that `openssl req -x509` makes.
        let reason = "client error (Connect): invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))";
        let error = unanswered("the server https://a".to_owned(), reason.to_owned(), true);
        assert!(matches!(error, ClientError::Authority { .. }), "{error}");
        let text = error.to_string();
        for part in [
            "https://a",
            "basicConstraints=critical,CA:FALSE",
            "subjectAltName",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let other = unanswered("h".to_owned(), "refused".to_owned(), true);
        assert!(
            matches!(other, ClientError::NobodyListens { .. }),
            "{other}"
        );
    }
}
