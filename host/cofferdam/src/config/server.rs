//! `[server]` and `[client]` of `cofferdam.toml`.

use crate::cli::LogFormat;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// What `serve` does.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ServerConfig {
    /// Addresses and ports to listen on, such as 127.0.0.1:7419. More than loopback needs a
    /// certificate.
    pub listen: Vec<String>,
    /// Certificate chain (PEM).
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate.
    pub tls_key: Option<PathBuf>,
    /// Folders in which clients may name files as inputs.
    pub file_roots: Vec<PathBuf>,
    /// Form of the log on standard error.
    pub log_format: Option<LogFormat>,
    /// What is logged: a level, or directives such as `info,cofferdam_orchestrator=debug`.
    pub log: Option<String>,
    /// Collector of OpenTelemetry traces (OTLP over HTTP), such as http://127.0.0.1:4318.
    pub otlp_endpoint: Option<String>,
    /// The longest request body, in bytes.
    pub body_limit: Option<usize>,
    /// How long a request may take before its answer begins, such as 30s.
    pub request_timeout: Option<String>,
    /// Event streams at once, over all clients.
    pub max_streams: Option<usize>,
    /// Requests of one token.
    pub token_rate: Option<RateConfig>,
    /// Requests of one network address.
    pub address_rate: Option<RateConfig>,
}

/// How many requests are answered before a client is asked to wait.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RateConfig {
    /// Requests a second in the long run.
    pub per_second: u32,
    /// Requests at once after a quiet time.
    pub burst: u32,
}

/// How commands reach a server.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ClientConfig {
    /// Address of the server; without one, commands work on the state folder.
    pub server: Option<String>,
    /// File with the token.
    pub token_file: Option<PathBuf>,
    /// Certificates (PEM) that the server's may be signed by, instead of the system's.
    pub ca: Option<PathBuf>,
}
