//! The one provider of cryptography for TLS.

/// Makes ring the process's provider for rustls, which picks none by itself.
pub fn install_provider() {
    // It fails only where one is installed already, and this is the only place that does.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
