//! `cofferdam serve`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The arguments of `serve`. Each wins over its key in `[server]` of the configuration.
#[derive(Args, Default)]
pub struct Serve {
    /// Address and port to listen on; may be repeated. Port 0 takes a free one [default:
    /// 127.0.0.1:7419].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Vec<String>,
    /// Certificate chain (PEM); needed to listen on more than loopback.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Folder in which clients may name files as inputs; may be repeated.
    #[arg(long = "file-root", value_name = "FOLDER")]
    pub file_roots: Vec<PathBuf>,
    /// Form of the log on standard error [default: text].
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
    /// Collector of OpenTelemetry traces (OTLP over HTTP).
    #[arg(long, value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// Write the addresses listened on to this file, one a line, once they are open.
    #[arg(long, value_name = "FILE")]
    pub address_file: Option<PathBuf>,
    /// Write the first admin token to this new file (mode 0600) instead of printing it.
    #[arg(long, value_name = "FILE")]
    pub first_token_file: Option<PathBuf>,
}

/// A form of the log.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
