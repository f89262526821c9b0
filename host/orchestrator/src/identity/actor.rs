//! Who asks.

use serde::Serialize;
use std::net::IpAddr;

/// How the host knows who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "token")]
pub enum Via {
    /// A process of the account that owns the state folder: the embedded command line and
    /// the Unix socket of mode 0600 inside it. It can read and write every file of the host
    /// anyway, so that it may do everything.
    Local,
    /// A token, by its id (`tok-…`).
    Token(String),
}

/// Who asks, as it stands in the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Actor {
    /// The user's name; for [`Via::Local`] the account's.
    pub user: String,
    /// How that is known.
    pub via: Via,
    /// Where the request came from, where it came over a network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

impl Actor {
    /// Somebody who has the state folder itself.
    pub fn local(user: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            via: Via::Local,
            address: None,
        }
    }

    /// The holder of a token that was verified.
    pub fn with_token(
        user: impl Into<String>,
        token: impl Into<String>,
        address: Option<IpAddr>,
    ) -> Self {
        Self {
            user: user.into(),
            via: Via::Token(token.into()),
            address,
        }
    }

    /// Whether this is the account that owns the state folder.
    pub fn is_local(&self) -> bool {
        self.via == Via::Local
    }
}

/// `USER (local)`, `USER (tok-…)`, with ` from ADDRESS` where it is known: one text for the
/// audit log and for messages.
impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.via {
            Via::Local => write!(f, "{} (local)", self.user)?,
            Via::Token(id) => write!(f, "{} ({id})", self.user)?,
        }
        match self.address {
            Some(address) => write!(f, " from {address}"),
            None => Ok(()),
        }
    }
}
