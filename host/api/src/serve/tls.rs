//! TLS with rustls: a certificate chain and a key from PEM files.

use super::ServeError;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Where the certificate chain (own one first) and its private key are, both PEM
/// (RFC 7468).
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain.
    pub certificate: PathBuf,
    /// The key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Reads both and checks that they belong together.
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, ServeError> {
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable("certificate", &self.certificate, &error))?;
        if chain.is_empty() {
            return Err(unusable(
                "certificate",
                &self.certificate,
                &"it holds no certificate",
            ));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| unusable("key", &self.key, &error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable("certificate", &self.certificate, &error))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| unusable("key", &self.key, &error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn unusable(what: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> ServeError {
    ServeError::Tls {
        what,
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_do_not_fit_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let one = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = file("cert.pem", &one.cert.pem());
        let key = file("key.pem", &one.signing_key.serialize_pem());
        let others = file("other.pem", &other.signing_key.serialize_pem());
        let empty = file("empty.pem", "");
        let acceptor = |certificate: &PathBuf, key: &PathBuf| {
            TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            }
            .acceptor()
            .map(|_| ())
        };
        acceptor(&certificate, &key).unwrap();
        for (certificate, key, names) in [
            (&certificate, &others, "other.pem"),
            (&empty, &key, "empty.pem"),
            (&certificate, &empty, "empty.pem"),
            (&folder.path().join("missing.pem"), &key, "missing.pem"),
        ] {
            let error = acceptor(certificate, key).unwrap_err().to_string();
            assert!(error.contains(names), "{error}");
        }
    }
}
