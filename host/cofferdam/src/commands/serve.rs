//! `cofferdam serve`.

use crate::cli::{Global, Serve};
use crate::client::session::Engine;
use crate::config::{Config, RateConfig, ServerConfig};
use crate::host::embedded::{Embedded, HostOptions, Opening};
use crate::progress::Interrupts;
use crate::render::sayln;
use anyhow::{Context, Result, bail};
use cofferdam_api::serve::{ListenOptions, TlsFiles};
use cofferdam_api::{ApiOptions, Rate};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

/// Where a host listens when nothing else is said.
const USUAL: &str = "127.0.0.1:7419";

/// Is a host until it is told to stop.
pub async fn run(command: &Serve, global: &Global) -> Result<ExitCode> {
    let config = Config::read(global.config.as_deref())?;
    if global.server.is_some() {
        bail!("`serve` is a host itself; leave --server out");
    }
    let options = HostOptions {
        engine: Engine::Working,
        listen: listen(command, &config.server)?,
        api: api(command, &config.server)?,
    };
    let scheme = if options.listen.tls.is_some() {
        "https"
    } else {
        "http"
    };
    // From before the first answer on: a signal meanwhile must not be lost.
    let mut interrupts = Interrupts::new()?;
    let host = match Embedded::open_with(global, &config, options).await? {
        Opening::Host(host) => host,
        Opening::Held { socket, .. } => bail!(
            "another host has this state folder, it answers at {}; stop it, or name another folder with --state",
            socket.display()
        ),
    };
    let result = announce(command, &host, scheme).await;
    if result.is_ok() {
        interrupts.next().await;
        eprintln!("stopping; unfinished runs stay resumable");
    }
    let leave = host.close();
    tokio::select! {
        () = leave => {}
        // A kill is survived as well, it only costs an attempt.
        _ = interrupts.next() => eprintln!("stopping at once"),
    }
    result.map(|()| ExitCode::SUCCESS)
}

/// Says where the host listens, and the first token at the first start.
async fn announce(command: &Serve, host: &Embedded, scheme: &str) -> Result<()> {
    if let Some(token) = host.orchestrator().identity.bootstrap().await? {
        match &command.first_token_file {
            Some(file) => write_private(file, &token.text)?,
            None => {
                eprintln!(
                    "the first token, of the user {}; it is shown this once:",
                    token.user
                );
                eprintln!("{}", *token.text);
            }
        }
    }
    let addresses: Vec<String> = host
        .addresses()
        .iter()
        .map(|address| format!("{scheme}://{address}"))
        .collect();
    for address in &addresses {
        sayln!("listening on {address}");
    }
    if let Some(file) = &command.address_file {
        write_whole(file, &format!("{}\n", addresses.join("\n")))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Under another name first: whoever waits for the file finds it whole.
fn write_whole(file: &Path, text: &str) -> std::io::Result<()> {
    let folder = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let mut draft = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    draft.write_all(text.as_bytes())?;
    draft.persist(file)?;
    Ok(())
}

fn write_private(file: &Path, text: &str) -> Result<()> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut open| writeln!(open, "{text}"))
        .with_context(|| {
            format!(
                "cannot write the first token to {}; make another on this machine with `cofferdam token create --user admin`",
                file.display()
            )
        })
}

fn listen(command: &Serve, server: &ServerConfig) -> Result<ListenOptions> {
    let certificate = command.tls_cert.as_ref().or(server.tls_cert.as_ref());
    let key = command.tls_key.as_ref().or(server.tls_key.as_ref());
    let tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        }),
        (None, None) => None,
        _ => bail!("of tls-cert and tls-key one is missing; name both, or none"),
    };
    Ok(ListenOptions {
        addresses: addresses(&command.listen, server)?,
        tls,
        ..ListenOptions::default()
    })
}

/// The addresses to listen on: those of the command line, else of the configuration.
pub fn addresses(named: &[String], server: &ServerConfig) -> Result<Vec<SocketAddr>> {
    let usual = [USUAL.to_owned()];
    let addresses = match (named, server.listen.as_slice()) {
        ([], []) => usual.as_slice(),
        ([], configured) => configured,
        (named, _) => named,
    };
    addresses
        .iter()
        .map(|text| {
            let text = match text.strip_prefix("localhost:") {
                Some(port) => format!("127.0.0.1:{port}"),
                None => text.clone(),
            };
            text.parse().with_context(|| {
                format!("{text:?} is not an address and port like {USUAL} or [::1]:7419")
            })
        })
        .collect()
}

fn api(command: &Serve, server: &ServerConfig) -> Result<ApiOptions> {
    let mut options = ApiOptions::default();
    let roots = if command.file_roots.is_empty() {
        &server.file_roots
    } else {
        &command.file_roots
    };
    for root in roots {
        let whole = std::fs::canonicalize(root)
            .with_context(|| format!("the file root {} cannot be used", root.display()))?;
        options.file_roots.push(whole);
    }
    if let Some(limit) = server.body_limit {
        options.body_limit = limit;
    }
    if let Some(text) = &server.request_timeout {
        options.request_timeout = humantime::parse_duration(text)
            .with_context(|| format!("request-timeout {text:?} is not a duration like 30s"))?;
    }
    if let Some(most) = server.max_streams {
        options.max_streams = most;
    }
    let rate = |rate: RateConfig| Rate::new(rate.per_second, rate.burst);
    if let Some(configured) = server.token_rate {
        options.token_rate = rate(configured);
    }
    if let Some(configured) = server.address_rate {
        options.address_rate = rate(configured);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_wins_and_loopback_is_usual() {
        let configured = ServerConfig {
            listen: vec!["[::1]:1".to_owned()],
            ..ServerConfig::default()
        };
        let named = ["localhost:0".to_owned()];
        for (named, server, expected) in [
            (&[][..], &ServerConfig::default(), USUAL),
            (&[][..], &configured, "[::1]:1"),
            (&named[..], &configured, "127.0.0.1:0"),
        ] {
            let addresses = addresses(named, server).unwrap();
            assert_eq!(addresses, [expected.parse::<SocketAddr>().unwrap()]);
        }
        let wrong = ["host:1".to_owned()];
        let error = addresses(&wrong, &configured).unwrap_err();
        assert!(error.to_string().contains("127.0.0.1:7419"), "{error}");
    }

    #[test]
    fn half_a_certificate_is_refused() {
        let command = Serve {
            tls_cert: Some("cert.pem".into()),
            ..Serve::default()
        };
        let error = listen(&command, &ServerConfig::default()).unwrap_err();
        assert!(error.to_string().contains("tls-key"), "{error}");
    }
}
