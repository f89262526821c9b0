//! Following the activation of a plugin through its stages.
//!
//! Its events are read again and again until it is over: a host that only answers tells
//! nobody of events, and an activation takes seconds.

use crate::client::Client;
use crate::client::problem::ClientError;
use crate::exit::ActivationFailed;
use crate::progress::{Interrupt, Interrupts};
use crate::render::safe;
use anyhow::Result;
use cofferdam_store::{Activation, ActivationOutcome, Event};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How often an activation is looked at.
const BETWEEN: Duration = Duration::from_millis(100);

/// How long the old version's calls are waited for once the new one serves.
const DRAIN: Duration = Duration::from_secs(2);

/// How often in a row an answer may fail to come, while a server restarts.
const ATTEMPTS: u32 = 20;

/// What an activation came to.
pub struct Followed {
    /// The activation as it was seen last.
    pub activation: Activation,
    /// Why it is no success, where it is none.
    pub failed: Option<ActivationFailed>,
}

/// Follows an activation until the new version serves and the old one's calls have ended, or
/// until it failed; `say` is told each stage. An interrupt ends following, not the activation.
///
/// # Errors
/// The host cannot be asked.
pub async fn follow(
    client: &Client,
    begun: Activation,
    mut say: impl FnMut(&str),
) -> Result<Followed> {
    let mut interrupts = Interrupts::new()?;
    let mut seen = 0;
    let mut tried = 0;
    let mut serves: Option<Instant> = None;
    let mut activation = begun;
    loop {
        match look(client, &activation, &mut seen, &mut say).await {
            Ok(now) => (activation, tried) = (now, 0),
            Err(error) if tried == ATTEMPTS || !error.is_passing() => return Err(error.into()),
            Err(_) => tried += 1,
        }
        match activation.outcome {
            ActivationOutcome::GoingOn => {}
            ActivationOutcome::Failed => {
                let failed = Some(ActivationFailed::new(&activation));
                return Ok(Followed { activation, failed });
            }
            ActivationOutcome::Active => {
                let since = serves.get_or_insert_with(Instant::now);
                if activation.finished.is_some() {
                    break;
                }
                if since.elapsed() > DRAIN {
                    say("calls of the version before are still going on; they end with it");
                    break;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(BETWEEN) => {}
            interrupt = interrupts.next() => {
                say(match interrupt {
                    Interrupt::Interrupt | Interrupt::Terminate => "no longer watching",
                });
                let failed = Some(ActivationFailed::unwatched(&activation));
                return Ok(Followed { activation, failed });
            }
        }
    }
    Ok(Followed {
        activation,
        failed: None,
    })
}

async fn look(
    client: &Client,
    activation: &Activation,
    seen: &mut i64,
    say: &mut impl FnMut(&str),
) -> Result<Activation, ClientError> {
    // First how it is, then what was told: what is over has told everything.
    let now = client.activation(activation).await?;
    for event in client.plugin_events(&activation.plugin, *seen).await? {
        *seen = event.id;
        if event.data.get("activation").and_then(Value::as_str) == Some(&activation.id)
            && let Some(line) = line(&event)
        {
            say(&line);
        }
    }
    Ok(now)
}

/// One stage in one line; none for what the end of the activation says once more.
pub fn line(event: &Event) -> Option<String> {
    let text = |key: &str| event.data.get(key).and_then(Value::as_str);
    if event.kind != "plugin.stage" {
        return None;
    }
    let (stage, state) = (text("stage")?, text("state")?);
    let more = text("reason")
        .or_else(|| text("detail"))
        .unwrap_or_default();
    match (state, more.is_empty()) {
        ("began", _) => None,
        (state, true) => Some(format!("{stage}: {state}")),
        (state, false) => Some(safe(&format!("{stage}: {state}: {more}"))),
    }
}
