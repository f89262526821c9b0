//! What `serve` listens on.

use super::state::Holder;
use crate::commands::doctor::{Finding, Site};
use crate::commands::serve;
use cofferdam_api::serve::{ListenOptions, Listeners, ServeError, TlsFiles};
use std::os::unix::fs::PermissionsExt;

/// Whether the addresses are free and the certificate fits. Binding is the only sure test;
/// the ports are free again right after.
pub async fn listen(site: &Site<'_>, holder: Holder) -> Vec<Finding> {
    let server = &site.config.server;
    let mut findings = Vec::new();
    if let Some(key) = &server.tls_key
        && let Ok(metadata) = std::fs::metadata(key)
        && metadata.permissions().mode() & 0o077 != 0
    {
        findings.push(
            Finding::problem(
                format!("others can read the private key {}", key.display()),
                format!("chmod 600 {}", key.display()),
            )
            .mended_by(crate::commands::doctor::treatment::Treatment::SetMode {
                path: key.clone(),
                mode: 0o600,
            }),
        );
    }
    for root in &server.file_roots {
        if !root.is_dir() {
            findings.push(Finding::warning(
                format!("the file root {} is no folder", root.display()),
                "correct file-roots in the configuration",
            ));
        }
    }
    // The host that holds the folder listens there itself.
    if holder == Holder::Host {
        return findings;
    }
    let tls = match (&server.tls_cert, &server.tls_key) {
        (Some(certificate), Some(key)) => Some(TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        }),
        (None, None) => None,
        _ => {
            findings.push(Finding::problem(
                "of tls-cert and tls-key one is missing",
                "name both, or none",
            ));
            None
        }
    };
    let addresses = match serve::addresses(&[], server) {
        Ok(addresses) => addresses,
        Err(error) => {
            findings.push(Finding::problem(
                format!("{error:#}"),
                "correct listen in the configuration",
            ));
            Vec::new()
        }
    };
    let options = ListenOptions {
        addresses,
        tls,
        ..ListenOptions::default()
    };
    if let Err(error) = Listeners::bind(options).await {
        let advice = match &error {
            ServeError::Bind { .. } => "end the other server, or choose another address",
            ServeError::TlsRequired { .. } => "configure a certificate, or listen on loopback only",
            _ => "correct [server] in the configuration",
        };
        findings.push(Finding::problem(error.to_string(), advice));
    }
    findings
}
