//! The limits in force for a plugin, as `plugin inspect` shows them.

use crate::config::Config;
use crate::render::sayln;
use cofferdam_contract::limits::{HostLimits, LimitValue, Overrides};
use cofferdam_contract::manifest::Manifest;
use serde::Serialize;

/// One limit, and who decided on it.
#[derive(Serialize)]
pub struct LimitInForce {
    #[serde(flatten)]
    value: LimitValue,
    from: Source,
}

/// Who decided on a limit.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Source {
    /// Nobody: it is the host's default.
    Default,
    /// The plugin's manifest.
    Manifest,
    /// `[plugins.ID.limits]` or `[limits]` of the configuration.
    Operator,
}

impl Source {
    fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Manifest => "plugin",
            Self::Operator => "operator",
        }
    }
}

/// Every limit of a plugin under this configuration: of its calls, and of compiling it.
pub fn in_force(manifest: &Manifest, config: &Config) -> Vec<LimitInForce> {
    let by = config.plugin_limits().remove(&manifest.id);
    let by = by.unwrap_or_default();
    let calls = manifest.limits.overridden(&by).rows();
    let compiling = HostLimits::DEFAULT
        .overridden(&config.limits)
        .overridden(&by)
        .rows();
    let said = |value: &LimitValue| {
        let said = by.get(value.limit);
        said.or_else(|| config.limits.get(value.limit)).is_some()
    };
    let rows = calls.into_iter().chain(compiling);
    rows.map(|value| LimitInForce {
        from: if said(&value) {
            Source::Operator
        } else if value.value == value.default {
            Source::Default
        } else {
            Source::Manifest
        },
        value,
    })
    .collect()
}

/// Prints them as a table.
pub fn show(limits: &[LimitInForce]) {
    sayln!("limits:");
    for LimitInForce { value, from } in limits {
        let from = match from {
            Source::Default => String::new(),
            decided => format!(", by the {}; default {}", decided.word(), value.default),
        };
        sayln!(
            "  {:<21} {} (at most {}{from})",
            value.key,
            value.allowed(),
            value.most
        );
    }
}
