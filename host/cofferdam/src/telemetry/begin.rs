//! What the command line, the configuration and the environment say about log and traces.

use super::{Telemetry, TelemetryOptions, redactor, start};
use crate::cli::{Cli, Command, LogFormat, Serve};
use crate::config::{Config, ServerConfig};
use anyhow::Result;

/// What is logged when nobody says: `serve` has nothing else to show.
const USUAL_OF_SERVE: &str = "info";
/// The same of every other command.
const USUAL: &str = "warn";

/// Begins to log and to trace as this command wants it.
///
/// # Errors
/// A filter or an address that cannot be used.
pub fn begin(cli: &Cli) -> Result<Telemetry> {
    // What is wrong with the file is said by the command that needs it.
    let config = Config::read(cli.global.config.as_deref()).unwrap_or_default();
    let serve = match &cli.command {
        Command::Serve(serve) => Some(serve),
        _ => None,
    };
    start(options(cli.global.log.clone(), serve, config.server))
}

fn options(log: Option<String>, serve: Option<&Serve>, config: ServerConfig) -> TelemetryOptions {
    let (usual, configured) = match serve {
        Some(_) => (USUAL_OF_SERVE, config.log),
        None => (USUAL, None),
    };
    let format = serve.and_then(|serve| serve.log_format.or(config.log_format));
    TelemetryOptions {
        json: format == Some(LogFormat::Json),
        filter: log.or(configured).unwrap_or_else(|| usual.to_owned()),
        otlp_endpoint: serve
            .and_then(|serve| serve.otlp_endpoint.clone())
            .or(config.otlp_endpoint),
        redactor: redactor().clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_wish_wins() {
        let configured = || ServerConfig {
            log: Some("debug".to_owned()),
            log_format: Some(LogFormat::Json),
            otlp_endpoint: Some("http://configured".to_owned()),
            ..ServerConfig::default()
        };
        let serve = Serve {
            log_format: Some(LogFormat::Text),
            otlp_endpoint: Some("http://typed".to_owned()),
            ..Serve::default()
        };
        let plain = Serve::default();
        let typed = || Some("trace".to_owned());
        let none = ServerConfig::default;
        for (log, serve, config, filter, json, endpoint) in [
            (None, None, none(), "warn", false, None),
            (None, Some(&plain), none(), "info", false, None),
            (
                None,
                None,
                configured(),
                "warn",
                false,
                Some("http://configured"),
            ),
            (
                None,
                Some(&plain),
                configured(),
                "debug",
                true,
                Some("http://configured"),
            ),
            (
                typed(),
                Some(&serve),
                configured(),
                "trace",
                false,
                Some("http://typed"),
            ),
        ] {
            let options = options(log, serve, config);
            assert_eq!(options.filter, filter);
            assert_eq!(options.json, json);
            assert_eq!(options.otlp_endpoint.as_deref(), endpoint);
        }
    }
}
