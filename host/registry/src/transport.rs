//! One request: with its limits, its redirects and its errors.
//!
//! Redirects are followed here and not by the HTTP client: only when something is read, only
//! within the scheme, only a few times, and without the credentials where another server is
//! meant. A registry that keeps its blobs elsewhere needs them.

use crate::settings::{CONNECT, SILENCE};
use crate::{ClientSettings, RegistryError};
use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;

/// The longest refusal that is read, in bytes; of it, the beginning is shown.
const MAX_REFUSAL: u64 = 16 << 10;

/// How much of a registry's own words is shown, in characters.
const SHOWN: usize = 200;

/// What is asked of a registry.
#[derive(Clone)]
pub(crate) struct Request {
    /// Host and port of the registry, also where the address is elsewhere.
    pub(crate) registry: String,
    /// What is asked, for messages: it follows "to".
    pub(crate) what: String,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) body: Option<Bytes>,
}

impl Request {
    pub(crate) fn new(registry: &str, what: String, method: Method, url: Url) -> Self {
        Self {
            registry: registry.to_owned(),
            what,
            method,
            url,
            headers: Vec::new(),
            body: None,
        }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// Sends requests.
pub(crate) struct Transport {
    http: reqwest::Client,
    seconds: u64,
}

impl Transport {
    /// # Errors
    /// [`RegistryError::Settings`].
    pub(crate) fn new(settings: &ClientSettings) -> Result<Self, RegistryError> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .timeout(settings.timeout)
            .user_agent(concat!("cofferdam/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none());
        if settings.plain_http.is_empty() {
            builder = builder.https_only(true);
        }
        if let Some(pem) = &settings.ca {
            let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| {
                RegistryError::Settings(format!("the certificates cannot be used: {error}"))
            })?;
            builder = builder.tls_certs_only(certificates);
        }
        let http = builder
            .build()
            .map_err(|error| RegistryError::Settings(chain(&error)))?;
        Ok(Self {
            http,
            seconds: settings.timeout.as_secs(),
        })
    }

    /// Asks, and follows redirects where something is read. Any status is an answer.
    pub(crate) async fn send(
        &self,
        request: &Request,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let mut url = request.url.clone();
        let mut authorization = authorization;
        for _ in 0..=MAX_REDIRECTS {
            let mut headers = HeaderMap::new();
            for (name, value) in &request.headers {
                let value = HeaderValue::from_str(value)
                    .map_err(|error| RegistryError::Settings(error.to_string()))?;
                headers.insert(name, value);
            }
            if let Some(authorization) = authorization {
                headers.insert(AUTHORIZATION, authorization.clone());
            }
            let mut sent = self
                .http
                .request(request.method.clone(), url.clone())
                .headers(headers);
            if let Some(body) = &request.body {
                sent = sent.body(body.clone());
            }
            let response = sent
                .send()
                .await
                .map_err(|error| self.failed(&request.registry, &error))?;
            let reads = [Method::GET, Method::HEAD].contains(&request.method);
            if !reads || !response.status().is_redirection() {
                return Ok(response);
            }
            let next = location(&request.registry, &url, response.headers())?;
            if next.origin() != url.origin() {
                authorization = None;
            }
            url = next;
        }
        Err(RegistryError::Redirect {
            registry: request.registry.clone(),
            to: url.to_string(),
            reason: "there were too many redirects before it",
        })
    }

    /// An answer's body, which is at most `limit` bytes long.
    pub(crate) async fn body(
        &self,
        registry: &str,
        what: &str,
        limit: u64,
        response: Response,
    ) -> Result<Vec<u8>, RegistryError> {
        let too_large = || RegistryError::TooLarge {
            what: what.to_owned(),
            limit,
        };
        if response
            .content_length()
            .is_some_and(|length| length > limit)
        {
            return Err(too_large());
        }
        let mut read = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(part) = stream.next().await {
            let part = part.map_err(|error| self.failed(registry, &error))?;
            if (read.len() + part.len()) as u64 > limit {
                return Err(too_large());
            }
            read.extend_from_slice(&part);
        }
        Ok(read)
    }

    /// What a registry says that refuses, in its own words.
    pub(crate) async fn refusal(&self, request: &Request, response: Response) -> RegistryError {
        let status = response.status();
        let body = self
            .body(&request.registry, "the refusal", MAX_REFUSAL, response)
            .await
            .unwrap_or_default();
        if status == StatusCode::NOT_FOUND {
            return RegistryError::NotFound {
                registry: request.registry.clone(),
                what: request.what.clone(),
            };
        }
        RegistryError::Refused {
            registry: request.registry.clone(),
            what: request.what.clone(),
            status: status.as_u16(),
            message: words(&body).map_or_else(String::new, |words| format!(": {words}")),
        }
    }

    fn failed(&self, registry: &str, error: &reqwest::Error) -> RegistryError {
        if error.is_timeout() && !error.is_connect() {
            return RegistryError::TimedOut {
                registry: registry.to_owned(),
                seconds: self.seconds,
            };
        }
        RegistryError::Unreachable {
            registry: registry.to_owned(),
            reason: chain(error),
        }
    }
}

/// Where an answer points, resolved against the address that was asked.
pub(crate) fn location(
    registry: &str,
    asked: &Url,
    headers: &HeaderMap,
) -> Result<Url, RegistryError> {
    let refuse = |to: &str, reason: &'static str| RegistryError::Redirect {
        registry: registry.to_owned(),
        to: to.chars().take(SHOWN).collect(),
        reason,
    };
    let to = headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| refuse("nowhere", "it names no address"))?;
    let next = asked.join(to).map_err(|_| refuse(to, "it is no address"))?;
    if next.scheme() != asked.scheme() {
        return Err(refuse(to, "it has another scheme"));
    }
    // Without TLS nobody but this machine is asked.
    if next.scheme() != "https" && next.host() != asked.host() {
        return Err(refuse(to, "it leads elsewhere without TLS"));
    }
    if !next.username().is_empty() || next.password().is_some() {
        return Err(refuse("an address", "it has credentials in it"));
    }
    Ok(next)
}

/// The first error of a registry's answer (distribution specification, "Error Codes").
fn words(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let first = value.get("errors")?.get(0)?;
    let text = |key: &str| first.get(key).and_then(serde_json::Value::as_str);
    let words = match (text("code"), text("message")) {
        (Some(code), Some(message)) => format!("{code}, {message}"),
        (Some(word), None) | (None, Some(word)) => word.to_owned(),
        (None, None) => return None,
    };
    Some(words.chars().take(SHOWN).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_keep_the_scheme() {
        for (asked, to, result) in [
            ("https://a.org/v2/x", "/v2/y", Ok("https://a.org/v2/y")),
            (
                "https://a.org/v2/x",
                "https://cdn.org/y?z=1",
                Ok("https://cdn.org/y?z=1"),
            ),
            (
                "https://a.org/v2/x",
                "http://a.org/v2/y",
                Err("another scheme"),
            ),
            (
                "https://a.org/v2/x",
                "file:///etc/passwd",
                Err("another scheme"),
            ),
            (
                "http://127.0.0.1:5/x",
                "http://127.0.0.1:5/y",
                Ok("http://127.0.0.1:5/y"),
            ),
            (
                "http://127.0.0.1:5/x",
                "http://169.254.169.254/",
                Err("without TLS"),
            ),
            ("https://a.org/x", "https://u:p@a.org/", Err("credentials")),
            ("https://a.org/x", "https://", Err("no address")),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_str(to).unwrap());
            let found = location("r", &asked.parse().unwrap(), &headers);
            match (found, result) {
                (Ok(found), Ok(expected)) => assert_eq!(found.as_str(), expected),
                (Err(error), Err(words)) => {
                    assert!(error.to_string().contains(words), "{words} in {error}");
                }
                (found, _) => panic!("{to}: {found:?}"),
            }
        }
        let none = location("r", &"https://a".parse().unwrap(), &HeaderMap::new());
        assert!(none.is_err());
    }

    #[test]
    fn a_refusal_is_in_the_words_of_the_registry() {
        for (body, expected) in [
            (
                r#"{"errors":[{"code":"TAG_INVALID","message":"manifest tag did not match URI"}]}"#,
                Some("TAG_INVALID, manifest tag did not match URI"),
            ),
            (r#"{"errors":[{"message":"no"}]}"#, Some("no")),
            (r#"{"errors":[]}"#, None),
            ("<html>", None),
        ] {
            assert_eq!(words(body.as_bytes()).as_deref(), expected);
        }
    }
}
