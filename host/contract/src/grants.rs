//! What the operator granted to plugins beyond what belongs to their worlds.
//!
//! Only which interface which plugin holds: enough to decide whether a component is
//! loaded and what is linked to it. How far a grant reaches (which program, which secret,
//! which host) is the business of the service behind the interface. [`wants`] is what a
//! component asks for, [`difference`] how a version's wishes differ from another's, and
//! [`narrowed`] what is left of a grant for a version that wants less.

mod wants;

pub use wants::{Difference, Want, Widened, difference, narrowed, wants};

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The capability to send HTTP requests: the interfaces of `wasi:http` that do so are one.
pub const HTTP: &str = "wasi:http";
/// The capability to run programs; its grant is a table of them.
pub const TOOL: &str = "cofferdam:tool/tool";
/// The capability to read secrets.
pub const SECRETS: &str = "cofferdam:runtime/secrets";

/// Interfaces by plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Granted(BTreeMap<String, BTreeSet<String>>);

impl Granted {
    /// Nothing is granted to anyone.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Grants the capability of `interface` (with or without its version) to `plugin`.
    pub fn grant(&mut self, plugin: &str, interface: &str) {
        let interfaces = self.0.entry(plugin.to_owned()).or_default();
        interfaces.insert(capability(interface).to_owned());
    }

    /// Whether `plugin` was granted `interface` (with or without its version).
    pub fn holds(&self, plugin: &str, interface: &str) -> bool {
        self.0
            .get(plugin)
            .is_some_and(|interfaces| interfaces.contains(capability(interface)))
    }
}

/// The name of an interface as manifests write it: `cofferdam:tool/tool` for
/// `cofferdam:tool/tool@0.1.0`.
pub fn without_version(interface: &str) -> &str {
    interface.split('@').next().unwrap_or(interface)
}

/// The capability that an interface belongs to, as manifests name it: the interface
/// without its version, or [`HTTP`].
pub fn capability(interface: &str) -> &str {
    let name = without_version(interface);
    if name.starts_with("wasi:http/") {
        HTTP
    } else {
        name
    }
}

/// Whether an imported interface is one of those that send HTTP requests, in a version that
/// the host speaks. Receiving them is nothing that a plugin can be granted.
pub fn sends_http(interface: &str) -> bool {
    let (name, version) = interface.split_once('@').unwrap_or((interface, ""));
    matches!(name, "wasi:http/types" | "wasi:http/outgoing-handler") && version.starts_with("0.2.")
}

/// The key under `[plugins.ID.grants]` that grants an interface: its own name without
/// package (`tool` for `cofferdam:tool/tool@0.1.0`, `http` for all of `wasi:http`).
pub fn key(interface: &str) -> &str {
    let name = capability(interface);
    name.rsplit(['/', ':']).next().unwrap_or(name)
}

/// The lines of `cofferdam.toml` that grant `interface` to `plugin` as `grant` says.
///
/// # Errors
/// Values that TOML cannot say (null).
pub fn lines(
    plugin: &str,
    interface: &str,
    grant: &Map<String, Value>,
) -> Result<String, toml::ser::Error> {
    let nested = |key: &str, value: Value| Value::Object(Map::from_iter([(key.to_owned(), value)]));
    let grants = nested(key(interface), Value::Object(grant.clone()));
    let whole = nested("plugins", nested(plugin, nested("grants", grants)));
    toml::to_string_pretty(&whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_for_one_plugin_and_one_interface_of_any_version() {
        let mut granted = Granted::nothing();
        granted.grant("boot-test", "cofferdam:tool/tool");
        assert!(granted.holds("boot-test", "cofferdam:tool/tool@0.1.0"));
        assert!(!granted.holds("boot-test", "cofferdam:runtime/secrets@0.1.0"));
        assert!(!granted.holds("command", "cofferdam:tool/tool@0.1.0"));
    }

    #[test]
    fn the_interfaces_of_http_are_one_capability() {
        let mut granted = Granted::nothing();
        granted.grant("notify", HTTP);
        for interface in ["wasi:http/types@0.2.3", "wasi:http/outgoing-handler@0.2.0"] {
            assert!(granted.holds("notify", interface), "{interface}");
            assert!(sends_http(interface), "{interface}");
            assert_eq!(key(interface), "http");
        }
        for interface in [
            "wasi:http/incoming-handler@0.2.0",
            "wasi:http/types@0.3.0",
            "wasi:http/types",
            "wasi:httpx/types@0.2.0",
        ] {
            assert!(!sends_http(interface), "{interface}");
        }
        assert!(!granted.holds("notify", "wasi:httpx/types@0.2.0"));
    }

    #[test]
    fn lines_are_what_the_configuration_reads() {
        let grant = serde_json::json!({
            "qemu": { "program": "qemu-system-x86_64", "arguments": ["-m", "\\d+"] }
        });
        let lines = lines(
            "boot-test",
            "cofferdam:tool/tool@0.1.0",
            grant.as_object().unwrap(),
        )
        .unwrap();
        assert!(
            lines.starts_with("[plugins.boot-test.grants.tool.qemu]\n"),
            "{lines}"
        );
        let read: Value = toml::from_str(&lines).unwrap();
        assert_eq!(read["plugins"]["boot-test"]["grants"]["tool"], grant);
    }
}
