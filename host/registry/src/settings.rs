//! What an operator sets about registries, and what is fixed.

use crate::{Credentials, RegistryError};
use std::net::IpAddr;
use std::time::Duration;

/// The longest manifest that is read, in bytes: what the distribution specification wants a
/// registry to take.
pub const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// How long a registry may take to accept a connection.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);

/// How long a registry may be silent.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);

/// How long one request may take, answer included, where nothing else is set.
const TIMEOUT: Duration = Duration::from_secs(300);

/// How a [`Client`](crate::Client) asks.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Registries on this machine that are asked by HTTP without TLS: `HOST:PORT`.
    pub plain_http: Vec<String>,
    /// How long one request may take, answer included.
    pub timeout: Duration,
    /// The longest component that is read, in bytes.
    pub max_component_bytes: u64,
    /// Who is asking.
    pub credentials: Credentials,
    /// Certificates (PEM) that a registry's may be signed by, instead of the system's.
    pub ca: Option<Vec<u8>>,
}

impl ClientSettings {
    /// With TLS everywhere, nobody's credentials, and this limit for components.
    #[must_use]
    pub fn new(max_component_bytes: u64) -> Self {
        Self {
            plain_http: Vec::new(),
            timeout: TIMEOUT,
            max_component_bytes,
            credentials: Credentials::default(),
            ca: None,
        }
    }

    /// # Errors
    /// A registry elsewhere is to be asked without TLS.
    pub(crate) fn check(&self) -> Result<(), RegistryError> {
        match self.plain_http.iter().find(|host| !is_loopback(host)) {
            Some(host) => Err(RegistryError::Settings(format!(
                "registry.plain-http: {host:?} is not on this machine; only a registry on localhost, 127.0.0.0/8 or [::1] may be asked without TLS"
            ))),
            None => Ok(()),
        }
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self, registry: &str) -> &'static str {
        let plain = self.plain_http.iter().any(|host| host == registry);
        if plain { "http" } else { "https" }
    }
}

/// Whether a registry's host is this machine, by its name alone.
fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(address, _)| address),
        None => registry.split_once(':').map_or(registry, |(host, _)| host),
    };
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_without_tls() {
        for (host, allowed) in [
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("localhost:5000", true),
            ("[::1]:5000", true),
            ("registry.example.org", false),
            ("10.0.0.1:5000", false),
            ("localhost.example.org:5000", false),
            ("127.0.0.1.example.org", false),
            ("[::2]:5000", false),
            ("", false),
        ] {
            let mut settings = ClientSettings::new(1);
            settings.plain_http = vec![host.to_owned()];
            assert_eq!(settings.check().is_ok(), allowed, "{host}");
        }
    }
}
