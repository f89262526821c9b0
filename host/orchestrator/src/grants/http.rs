//! `[plugins.ID.grants.http]`: where a plugin may send HTTP requests.
//!
//! A request is held against hosts, ports, schemes, methods and paths before its host is
//! looked up, and each address that it was looked up to against what is public
//! ([`address`](super::address)) and what the grant names beside that. The message of a
//! refusal names the part of the scope that refused.
//!
//! **Limits.** A host's name is all that is known of it: whoever answers for the name says
//! to which public address it leads. What a server does with a request that the scope
//! allows, sending it elsewhere included, is the server's business.

use super::address::{Network, effective, not_public};
use cofferdam_contract::services::{Outbound, OutboundRequest};
use cofferdam_contract::types::{Error, ErrorCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv6Addr};

/// `[plugins.ID.grants.http]`: requests that a plugin may send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HttpGrant {
    /// Hosts: a name, `*.SUFFIX` for every name below SUFFIX, or an IP address, which is
    /// then allowed although it may not be public. Required, unless the table is empty.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Ports. Without them that of the scheme, 443 or 80.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub ports: Option<Vec<u16>>,
    /// Schemes.
    #[serde(default = "https_only")]
    #[schemars(length(min = 1))]
    pub schemes: Vec<HttpScheme>,
    /// Methods. Without them all but CONNECT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub methods: Option<Vec<String>>,
    /// Paths that requests must be at or below, such as `/v1`. Without them all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub paths: Option<Vec<String>>,
    /// Addresses and networks (`10.0.0.0/8`) that names may lead to although they are
    /// private, loopback or link-local. The address of a cloud's metadata service has to be
    /// named alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

/// How requests travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HttpScheme {
    /// In the open.
    Http,
    /// With TLS.
    Https,
}

fn https_only() -> Vec<HttpScheme> {
    vec![HttpScheme::Https]
}

impl Default for HttpGrant {
    /// An empty table.
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            ports: None,
            schemes: https_only(),
            methods: None,
            paths: None,
            addresses: Vec::new(),
        }
    }
}

impl HttpGrant {
    /// Whether it is an empty table.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl HttpScheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A host, as a grant names it or a request does.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Name(String),
    /// Every name that ends so; begins with a dot.
    Below(String),
    Address(IpAddr),
}

impl Host {
    /// A name or an address, in the form in which they are compared. A text that ends in a
    /// number and is no address in the usual form (`127.1`, `0x7f.1`, `017700000001`) is
    /// neither, though some resolvers would read it as one.
    fn parse(text: &str) -> Option<Self> {
        let bracketed = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        if let Some(inside) = bracketed {
            let address: Ipv6Addr = inside.parse().ok()?;
            return Some(Self::Address(effective(address.into())));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::Address(effective(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            let bytes = label.as_bytes();
            (1..=63).contains(&bytes.len())
                && bytes
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
            || last
                .strip_prefix("0x")
                .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        (name.len() <= 253 && name.split('.').all(is_label) && !is_number)
            .then_some(Self::Name(name))
    }

    /// As [`parse`](Self::parse), or `*.SUFFIX`.
    fn pattern(text: &str) -> Option<Self> {
        match text.strip_prefix("*.") {
            None => Self::parse(text),
            Some(suffix) => match Self::parse(suffix)? {
                Self::Name(name) => Some(Self::Below(format!(".{name}"))),
                Self::Below(_) | Self::Address(_) => None,
            },
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Below(suffix), Self::Name(name)) => name.ends_with(suffix),
            (Self::Below(suffix), Self::Below(other)) => other.ends_with(suffix),
            _ => self == other,
        }
    }
}

/// What a plugin was granted, checked.
#[derive(Debug, Clone)]
pub struct HttpScope {
    /// Whose scope it is, for messages (`the plugin notify`).
    whose: String,
    /// Where the grant stands, for messages.
    place: String,
    grant: HttpGrant,
    hosts: Vec<Host>,
    addresses: Vec<Network>,
}

impl HttpScope {
    /// Checks a grant of `whose` that stands at `place`.
    ///
    /// # Errors
    /// What is wrong with it and what to write, for people.
    pub fn check(whose: &str, place: &str, grant: &HttpGrant) -> Result<Self, String> {
        for (key, is_empty) in [
            ("hosts", grant.hosts.is_empty()),
            ("ports", grant.ports.as_ref().is_some_and(Vec::is_empty)),
            ("schemes", grant.schemes.is_empty()),
            ("methods", grant.methods.as_ref().is_some_and(Vec::is_empty)),
            ("paths", grant.paths.as_ref().is_some_and(Vec::is_empty)),
        ] {
            if is_empty {
                return Err(format!(
                    "`{key}` is empty, which allows no request; fill it, or leave the grant out (an empty table takes away what was granted at an installation)"
                ));
            }
        }
        let mut hosts = Vec::new();
        for text in &grant.hosts {
            hosts.push(Host::pattern(text).ok_or_else(|| {
                format!(
                    "`hosts` has `{text}`, which is no host; write a name (punycode where it is not ASCII), `*.SUFFIX` or an IP address, without scheme and port"
                )
            })?);
        }
        let mut addresses = Vec::new();
        for text in &grant.addresses {
            addresses.push(Network::parse(text).ok_or_else(|| {
                format!(
                    "`addresses` has `{text}`, which is none; write an IP address or a network such as 10.0.0.0/8"
                )
            })?);
        }
        if grant.ports.iter().flatten().any(|port| *port == 0) {
            return Err("`ports` has 0, which is no port; write 1 to 65535".to_owned());
        }
        for method in grant.methods.iter().flatten() {
            let is_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
            if !is_method || method == "CONNECT" {
                return Err(format!(
                    "`methods` has `{method}`, which cannot be granted; write methods such as GET and POST, in upper case"
                ));
            }
        }
        for path in grant.paths.iter().flatten() {
            if !path.starts_with('/') || path.contains(['?', '#', '*']) || is_devious(path) {
                return Err(format!(
                    "`paths` has `{path}`, which is no path to begin with; write one such as /v1, without `.` and `..`, query, encoding and `*`"
                ));
            }
        }
        Ok(Self {
            whose: whose.to_owned(),
            place: place.to_owned(),
            grant: grant.clone(),
            hosts,
            addresses,
        })
    }

    /// Whether all that `other` allows is allowed by this too.
    ///
    /// # Errors
    /// What is not, for people.
    pub fn covers(&self, other: &Self) -> Result<(), String> {
        let beyond = |key: &str, what: &str| {
            Err(format!(
                "`{key}` has {what}, which is not within {}; narrow it, or have the operator widen that grant",
                self.place
            ))
        };
        for (host, text) in other.hosts.iter().zip(&other.grant.hosts) {
            if !self.hosts.iter().any(|own| own.covers(host)) {
                return beyond("hosts", text);
            }
        }
        for scheme in &other.grant.schemes {
            if !self.grant.schemes.contains(scheme) {
                return beyond("schemes", scheme.name());
            }
            let own = [scheme.port()];
            for port in other.grant.ports.as_deref().unwrap_or(&own) {
                if !self.allows_port(*scheme, *port) {
                    return beyond("ports", &format!("{port} ({})", scheme.name()));
                }
            }
        }
        match (&self.grant.methods, &other.grant.methods) {
            (None, _) => {}
            (Some(_), None) => return beyond("methods", "nothing, and so all methods"),
            (Some(own), Some(others)) => {
                if let Some(method) = others.iter().find(|method| !own.contains(method)) {
                    return beyond("methods", method);
                }
            }
        }
        match (&self.grant.paths, &other.grant.paths) {
            (None, _) => {}
            (Some(_), None) => return beyond("paths", "nothing, and so all paths"),
            (Some(own), Some(others)) => {
                let is_beyond = |path: &&String| !own.iter().any(|prefix| is_below(path, prefix));
                if let Some(path) = others.iter().find(is_beyond) {
                    return beyond("paths", path);
                }
            }
        }
        for (network, text) in other.addresses.iter().zip(&other.grant.addresses) {
            if !self.addresses.iter().any(|own| own.covers(network)) {
                return beyond("addresses", text);
            }
        }
        Ok(())
    }

    fn allows_port(&self, scheme: HttpScheme, port: u16) -> bool {
        match &self.grant.ports {
            Some(ports) => ports.contains(&port),
            None => port == scheme.port(),
        }
    }

    fn denied(&self, what: &str, key: &str, allowed: &str) -> Error {
        Error::new(
            ErrorCode::Denied,
            format!(
                "{} was not granted HTTP requests {what}: its `{key}` are {allowed}",
                self.whose
            ),
        )
        .with_hint(format!(
            "if it is to have them, widen `{key}` of {}",
            self.place
        ))
    }
}

/// Whether a path could mean another one to some servers.
fn is_devious(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let encoded = ["%2e", "%2f", "%5c", "%25"]
        .iter()
        .any(|part| lower.contains(part));
    let dots = path.split('/').any(|segment| {
        let name = segment.split(';').next().unwrap_or_default();
        matches!(name, "." | "..")
    });
    encoded || dots || path.contains('\\')
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

impl Outbound for HttpScope {
    fn request(&self, request: &OutboundRequest) -> Result<(), Error> {
        let OutboundRequest {
            method,
            scheme,
            host,
            port,
            path,
        } = request;
        let parsed = Host::parse(host);
        let is_granted = |host: &Host| self.hosts.iter().any(|own| own.covers(host));
        if !parsed.as_ref().is_some_and(is_granted) {
            let what = format!("to the host {host:?}");
            return Err(self.denied(&what, "hosts", &self.grant.hosts.join(", ")));
        }
        let schemes = &self.grant.schemes;
        let Some(scheme) = schemes.iter().find(|own| own.name() == scheme) else {
            let names: Vec<&str> = schemes.iter().map(|own| own.name()).collect();
            return Err(self.denied(&format!("over {scheme}"), "schemes", &names.join(", ")));
        };
        if !self.allows_port(*scheme, *port) {
            let ports = match &self.grant.ports {
                Some(ports) => ports.iter().map(u16::to_string).collect(),
                None => vec![scheme.port().to_string()],
            };
            let what = format!("to the port {port} of {host}");
            return Err(self.denied(&what, "ports", &ports.join(", ")));
        }
        let methods = self.grant.methods.as_ref();
        if method == "CONNECT" || methods.is_some_and(|methods| !methods.contains(method)) {
            let allowed = methods.map_or("all but CONNECT".to_owned(), |own| own.join(", "));
            return Err(self.denied(&format!("with the method {method}"), "methods", &allowed));
        }
        if let Some(paths) = &self.grant.paths
            && (is_devious(path) || !paths.iter().any(|prefix| is_below(path, prefix)))
        {
            let what = format!("to the path {path:?}");
            return Err(self.denied(&what, "paths", &paths.join(", ")));
        }
        Ok(())
    }

    fn address(&self, host: &str, address: IpAddr) -> Result<(), Error> {
        let Some(what) = not_public(address) else {
            return Ok(());
        };
        let own = Host::Address(effective(address));
        let is_named_as_host =
            Host::parse(host).as_ref() == Some(&own) && self.hosts.contains(&own);
        if is_named_as_host || self.addresses.iter().any(|own| own.names(address)) {
            return Ok(());
        }
        let allowed = match self.grant.addresses.as_slice() {
            [] => "the public ones only".to_owned(),
            named => format!("the public ones and {}", named.join(", ")),
        };
        let what = format!("to {host}, which leads to {address}, {what}");
        Err(self.denied(&what, "addresses", &allowed))
    }
}

#[cfg(test)]
mod tests;
