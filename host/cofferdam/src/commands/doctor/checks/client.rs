//! The server that commands are to talk to.

use crate::client::problem::ClientError;
use crate::client::session;
use crate::client::transport::Transport;
use crate::client::{API, Ask, Client};
use crate::commands::doctor::{Finding, Site};
use serde_json::Value;
use std::time::Duration;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether a server that is named is one, answers, and knows the token.
pub async fn server(site: &Site<'_>) -> Vec<Finding> {
    let options = match session::server(site.global, &site.config) {
        Ok(Some(options)) => options,
        Ok(None) => return token_file(site).into_iter().collect(),
        Err(error) => {
            return vec![Finding::problem(
                format!("{error:#}"),
                "correct --server and --token-file, or [client] in the configuration",
            )];
        }
    };
    let asked = async {
        let client = Client::new(Transport::server(&options)?);
        client.ask(Ask::get(format!("{API}/whoami"))).await
    };
    let found = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(Value::Object(_))) => return Vec::new(),
        Ok(Ok(_)) => Finding::problem(
            format!("{} does not answer as a host does", options.url),
            "correct the address",
        ),
        Ok(Err(ClientError::Problem(problem))) if [401, 403].contains(&problem.status) => {
            Finding::problem(
                format!("the server {}: {}", options.url, problem.detail),
                "give a token that it knows: --token-file, COFFERDAM_TOKEN, or token-file under [client]; `cofferdam token create` on the host makes one",
            )
        }
        Ok(Err(error)) => Finding::problem(
            error.to_string(),
            "start the server, or correct --server, COFFERDAM_SERVER or server under [client]",
        ),
        Err(_) => Finding::problem(
            format!(
                "the server {} does not answer within {} s",
                options.url,
                PATIENCE.as_secs()
            ),
            "look at the server and the network between",
        ),
    };
    vec![found]
}

/// Whether the token's file is there, although no server is named yet.
fn token_file(site: &Site<'_>) -> Option<Finding> {
    let named = site.global.token_file.as_ref();
    let file = named.or(site.config.client.token_file.as_ref())?;
    let error = std::fs::File::open(file).err()?;
    Some(Finding::problem(
        format!("the token file {} cannot be read: {error}", file.display()),
        "make the file, or correct token-file under [client]",
    ))
}
