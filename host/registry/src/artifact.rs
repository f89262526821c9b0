//! The layout of a plugin in a registry: one component.
//!
//! It is the layout that the CNCF's TAG Runtime describes for WebAssembly ("Wasm OCI Artifact
//! layout"), and that `wkg` and other hosts read: a configuration that names the component's
//! interfaces, and one layer, which is the component as it is in its file. The same component
//! has the same manifest, and so the same digest, whoever pushes it and when: the time of
//! creation, which the layout wants, is the beginning of 1970.

use crate::{Descriptor, Manifest, RegistryError, Resolved};
use serde::Serialize;
use std::collections::BTreeMap;

/// The media type of the configuration.
pub const CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// The media type of the component.
pub const COMPONENT: &str = "application/wasm";

/// When every artifact was made.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// The annotation with the plugin's id (OCI image specification, `annotations.md`).
pub const TITLE: &str = "org.opencontainers.image.title";
/// The annotation with the plugin's version.
pub const VERSION: &str = "org.opencontainers.image.version";
/// The annotation with what the plugin does.
pub const DESCRIPTION: &str = "org.opencontainers.image.description";

/// What is said of a component beside its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The plugin's id.
    pub id: String,
    /// The plugin's version.
    pub version: String,
    /// One sentence on what it does.
    pub summary: String,
    /// The world that it is of.
    pub world: String,
    /// The interfaces that it exports.
    pub exports: Vec<String>,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
}

/// An artifact that can be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// What it is made of.
    pub manifest: Manifest,
    /// The configuration's bytes.
    pub config: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: &'a str,
    architecture: &'a str,
    os: &'a str,
    layer_digests: [&'a str; 1],
    component: Component<'a>,
}

#[derive(Serialize)]
struct Component<'a> {
    exports: &'a [String],
    imports: &'a [String],
    target: &'a str,
}

/// The artifact of a component.
///
/// # Errors
/// [`RegistryError::Malformed`], which does not happen.
pub fn of(component: &[u8], about: &About) -> Result<Artifact, RegistryError> {
    let layer = Descriptor::of(COMPONENT, component);
    let config = Config {
        created: CREATED,
        architecture: "wasm",
        os: "wasip2",
        layer_digests: [layer.digest.as_str()],
        component: Component {
            exports: &about.exports,
            imports: &about.imports,
            target: &about.world,
        },
    };
    let config = serde_json::to_vec(&config).map_err(|error| RegistryError::Malformed {
        what: "the configuration to be sent".to_owned(),
        reason: error.to_string(),
    })?;
    let mut manifest = Manifest::new(Descriptor::of(CONFIG, &config), vec![layer]);
    manifest.annotations = BTreeMap::from([
        (TITLE.to_owned(), about.id.clone()),
        (VERSION.to_owned(), about.version.clone()),
        (DESCRIPTION.to_owned(), about.summary.clone()),
    ]);
    Ok(Artifact { manifest, config })
}

/// The component of an artifact, which has to be one of a plugin of at most `limit` bytes.
///
/// # Errors
/// [`RegistryError::MediaType`], [`RegistryError::Malformed`] for no or several layers,
/// [`RegistryError::TooLarge`].
pub fn component(resolved: &Resolved, limit: u64) -> Result<&Descriptor, RegistryError> {
    let what = &resolved.reference;
    let media = |part: &str, found: &str, expected: &'static str| RegistryError::MediaType {
        what: format!("{part} of {what}"),
        found: found.to_owned(),
        expected,
    };
    let manifest = &resolved.manifest;
    if manifest.config.media_type != CONFIG {
        return Err(media(
            "the configuration",
            &manifest.config.media_type,
            CONFIG,
        ));
    }
    let [layer] = manifest.layers.as_slice() else {
        return Err(RegistryError::Malformed {
            what: what.to_string(),
            reason: format!(
                "it has {} layers, and a plugin is one component",
                manifest.layers.len()
            ),
        });
    };
    if layer.media_type != COMPONENT {
        return Err(media("the layer", &layer.media_type, COMPONENT));
    }
    if layer.size > limit {
        return Err(RegistryError::TooLarge {
            what: format!("the component of {what}"),
            limit,
        });
    }
    Ok(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(change: impl FnOnce(&mut Manifest)) -> Resolved {
        let about = About {
            id: "motd".to_owned(),
            ..About::default()
        };
        let mut manifest = of(b"component", &about).unwrap().manifest;
        change(&mut manifest);
        let digest = crate::Digest::of(&manifest.encoded().unwrap());
        let reference: crate::Reference = "localhost/a:1".parse().unwrap();
        Resolved {
            reference: reference.pinned(&digest),
            digest,
            manifest,
        }
    }

    #[test]
    fn the_configuration_is_what_other_hosts_read() {
        let about = About {
            id: "motd".to_owned(),
            version: "0.1.0".to_owned(),
            summary: "says".to_owned(),
            world: "cofferdam:plugin/fixer@0.1.0".to_owned(),
            exports: vec!["cofferdam:plugin/fixing@0.1.0".to_owned()],
            imports: vec!["cofferdam:guest/view@0.1.0".to_owned()],
        };
        let artifact = of(b"component", &about).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&artifact.config).unwrap();
        assert_eq!(
            config,
            serde_json::json!({
                "created": "1970-01-01T00:00:00Z", "architecture": "wasm", "os": "wasip2",
                "layerDigests": [crate::Digest::of(b"component").as_str()],
                "component": {
                    "exports": ["cofferdam:plugin/fixing@0.1.0"],
                    "imports": ["cofferdam:guest/view@0.1.0"],
                    "target": "cofferdam:plugin/fixer@0.1.0",
                },
            })
        );
        assert_eq!(of(b"component", &about).unwrap(), artifact);
    }

    #[test]
    fn only_one_component_is_a_plugin() {
        let limit = 9;
        assert_eq!(component(&resolved(|_| {}), limit).unwrap().size, 9);
        type Change = fn(&mut Manifest);
        let cases: [(Change, &str); 5] = [
            (
                |it| {
                    "application/vnd.oci.image.config.v1+json".clone_into(&mut it.config.media_type)
                },
                "the configuration of",
            ),
            (
                |it| {
                    for layer in &mut it.layers {
                        "application/vnd.oci.image.layer.v1.tar+gzip"
                            .clone_into(&mut layer.media_type);
                    }
                },
                "the layer of",
            ),
            (|it| it.layers.clear(), "0 layers"),
            (|it| it.layers.extend(it.layers.clone()), "2 layers"),
            (
                |it| it.layers.iter_mut().for_each(|layer| layer.size = 10),
                "larger than 9 bytes",
            ),
        ];
        for (change, words) in cases {
            let error = component(&resolved(change), limit).unwrap_err().to_string();
            assert!(error.contains(words), "{words} in {error}");
        }
    }
}
