//! What a registry wants to know of who asks: nothing, a name and password, or a token.
//!
//! A registry that wants something says so with 401 and a challenge (RFC 9110 section 11.6.1).
//! `Bearer` names a service that gives tokens (the distribution project's "Token
//! Authentication Specification"); it has to be reached by the registry's own scheme.

use crate::transport::{Request, Transport};
use crate::{ClientSettings, RegistryError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The longest answer with a token that is read, in bytes.
const MAX_TOKEN: u64 = 64 << 10;

/// What a registry wants.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer(BTreeMap<String, String>),
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// What to send so that a request which was answered with 401 is not again. None where
/// there is nothing to send.
pub(crate) async fn answer(
    transport: &Transport,
    settings: &ClientSettings,
    request: &Request,
    scope: &str,
    headers: &HeaderMap,
) -> Result<Option<HeaderValue>, RegistryError> {
    let challenges = headers.get_all(WWW_AUTHENTICATE).iter();
    let challenges: Vec<Challenge> = challenges
        .filter_map(|value| value.to_str().ok().and_then(challenge))
        .collect();
    let login = settings.credentials.login(&request.registry);
    let basic = login.map(|(user, password)| {
        let text = STANDARD.encode(format!("{user}:{password}"));
        secret(&format!("Basic {text}"))
    });
    let basic = basic.transpose()?;
    let bearer = challenges.iter().find_map(|challenge| match challenge {
        Challenge::Bearer(parameters) => Some(parameters),
        Challenge::Basic => None,
    });
    let Some(parameters) = bearer else {
        let wanted = challenges.contains(&Challenge::Basic);
        return Ok(basic.filter(|_| wanted));
    };
    let url = realm(request, parameters, scope)?;
    let what = format!("give a token for {scope}");
    let ask = Request::new(&request.registry, what, Method::GET, url);
    let response = transport.send(&ask, basic.as_ref()).await?;
    if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&response.status()) {
        return Ok(None);
    }
    if !response.status().is_success() {
        return Err(transport.refusal(&ask, response).await);
    }
    let body = transport
        .body(&request.registry, "the token", MAX_TOKEN, response)
        .await?;
    // No reason: it would quote the token.
    let malformed = || RegistryError::Malformed {
        what: format!("the token of the registry {}", request.registry),
        reason: "it is not what the token specification says".to_owned(),
    };
    let token: Token = serde_json::from_slice(&body).map_err(|_| malformed())?;
    let token = token.token.or(token.access_token).ok_or_else(malformed)?;
    secret(&format!("Bearer {token}")).map(Some)
}

/// Where tokens are, by the registry's own scheme, and at this machine where there is no TLS.
fn realm(
    request: &Request,
    parameters: &BTreeMap<String, String>,
    scope: &str,
) -> Result<Url, RegistryError> {
    let realm = parameters
        .get("realm")
        .map(String::as_str)
        .unwrap_or_default();
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(realm) {
        headers.insert(reqwest::header::LOCATION, value);
    }
    let mut url = crate::transport::location(&request.registry, &request.url, &headers)?;
    if let Some(service) = parameters.get("service") {
        url.query_pairs_mut().append_pair("service", service);
    }
    url.query_pairs_mut().append_pair("scope", scope);
    Ok(url)
}

fn secret(text: &str) -> Result<HeaderValue, RegistryError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        RegistryError::Settings("the credentials have characters that none have".to_owned())
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A challenge: its scheme and parameters, `name="value"` with commas between.
fn challenge(text: &str) -> Option<Challenge> {
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    match scheme.to_ascii_lowercase().as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer(parameters(rest))),
        _ => None,
    }
}

fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([',', ' ']).to_ascii_lowercase();
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.insert(name, value.trim().to_owned());
        rest = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let Some(Challenge::Bearer(parameters)) = challenge(
            r#"Bearer realm="https://auth.example.org/token",service="registry, one", scope="repository:a/b:pull,push""#,
        ) else {
            panic!("no bearer");
        };
        assert_eq!(parameters["realm"], "https://auth.example.org/token");
        assert_eq!(parameters["service"], "registry, one");
        assert_eq!(parameters["scope"], "repository:a/b:pull,push");
        assert_eq!(challenge("Basic realm=x"), Some(Challenge::Basic));
        assert_eq!(challenge("Negotiate"), None);
        assert_eq!(challenge(""), None);
        for damaged in [
            "Bearer",
            "Bearer realm",
            "Bearer realm=\"",
            "Bearer =,=,\"=",
        ] {
            let Some(Challenge::Bearer(_)) = challenge(damaged) else {
                panic!("{damaged}");
            };
        }
    }

    #[test]
    fn tokens_are_asked_for_by_the_scheme_of_the_registry() {
        let url: Url = "https://r.org/v2/".parse().unwrap();
        let request = Request::new("r.org", String::new(), Method::GET, url);
        let with = |address: &str| BTreeMap::from([("realm".to_owned(), address.to_owned())]);
        let url = realm(
            &request,
            &with("https://auth.org/t?a=b"),
            "repository:x:pull",
        )
        .unwrap();
        assert_eq!(
            url.as_str(),
            "https://auth.org/t?a=b&scope=repository%3Ax%3Apull"
        );
        for address in [
            "http://auth.org/t",
            "ftp://auth.org/t",
            "http://169.254.169.254/",
        ] {
            assert!(realm(&request, &with(address), "x").is_err(), "{address}");
        }
    }
}
