//! The API's calls about plugins.

use super::events::Events;
use super::problem::ClientError;
use super::{Ask, Client, IDEMPOTENCY_KEY, path};
use axum::body::Bytes;
use cofferdam_api::routes::plugins::{InstallAnswer, ProposalView};
use cofferdam_store::{Activation, Event};
use serde_json::{Value, json};

/// What is done with a component that is handed over.
#[derive(Debug, Clone, Copy, Default)]
pub struct Handing<'a> {
    /// SHA-256 of the component, hexadecimal: what arrives has to be that.
    pub digest: &'a str,
    /// Grant what is missing, as the plugin proposes.
    pub grant: bool,
    /// Let it serve at once.
    pub activate: bool,
}

impl Client {
    /// What installing a component would mean.
    pub async fn propose_plugin(
        &self,
        component: Bytes,
        digest: &str,
    ) -> Result<ProposalView, ClientError> {
        let ask = Ask::upload(path(&["plugins"]), component)
            .with("digest", Some(format!("sha256:{digest}")))
            .with("dry_run", Some(true));
        self.ask_for(ask).await
    }

    /// Installs a component.
    pub async fn install_plugin(
        &self,
        component: Bytes,
        handing: Handing<'_>,
    ) -> Result<InstallAnswer, ClientError> {
        let ask = Ask::upload(path(&["plugins"]), component)
            .with("digest", Some(format!("sha256:{}", handing.digest)))
            .with("grant", handing.grant.then_some(true))
            .with("activate", handing.activate.then_some(true))
            .header(IDEMPOTENCY_KEY, Some(ulid::Ulid::generate()));
        self.ask_for(ask).await
    }

    /// Begins to let a version serve; the newest where none is named.
    pub async fn activate_plugin(
        &self,
        plugin: &str,
        version: Option<&str>,
    ) -> Result<Activation, ClientError> {
        let body = json!({ "version": version });
        self.ask_for(Ask::post(path(&["plugins", plugin, "activate"]), body))
            .await
    }

    /// Begins to let the version serve again that served before.
    pub async fn roll_plugin_back(&self, plugin: &str) -> Result<Activation, ClientError> {
        let mut ask = Ask::post(path(&["plugins", plugin, "rollback"]), Value::Null);
        ask.body = None;
        self.ask_for(ask).await
    }

    /// How far an activation is.
    pub async fn activation(&self, activation: &Activation) -> Result<Activation, ClientError> {
        let path = path(&["plugins", &activation.plugin, "activations", &activation.id]);
        self.ask_for(Ask::get(path)).await
    }

    /// Forgets a version.
    pub async fn remove_plugin(&self, plugin: &str, version: &str) -> Result<Value, ClientError> {
        let path = path(&["plugins", plugin, "versions", version]);
        self.ask(Ask::delete(path)).await
    }

    /// What happened to a plugin after the event `after`, up to now.
    pub async fn plugin_events(&self, plugin: &str, after: i64) -> Result<Vec<Event>, ClientError> {
        let ask = Ask::get(path(&["events"]))
            .with("plugin", Some(plugin))
            .with("after", Some(after))
            .with("follow", Some(false));
        let mut stream = Events::new(self.stream(ask).await?);
        let mut events = Vec::new();
        // A stream that breaks off is read on after the last event seen.
        while let Ok(Some(event)) = stream.next().await {
            events.extend(serde_json::from_str::<Event>(&event.data));
        }
        Ok(events)
    }
}
