//! Manifests: what an artifact is made of (OCI image specification, `manifest.md`).

use crate::{Digest, Reference, RegistryError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The media type of the only manifest that is read and written.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What a registry may answer with; those that are none of plugins are asked for so that it
/// can be said what is there.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

/// Manifests of manifests.
const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// The most layers that a manifest may have.
const MAX_LAYERS: usize = 256;

/// A part of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Of these bytes.
    #[must_use]
    pub fn of(media_type: &str, content: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(content),
            size: content.len() as u64,
            annotations: BTreeMap::new(),
        }
    }
}

/// What an artifact is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    pub schema_version: u32,
    /// [`MANIFEST`], where it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What is said of the artifact for programs.
    pub config: Descriptor,
    /// Its parts.
    pub layers: Vec<Descriptor>,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A manifest that a registry has, and its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The reference that was asked for, pinned to the digest.
    pub reference: Reference,
    /// The digest of the manifest, computed over what came.
    pub digest: Digest,
    /// The manifest.
    pub manifest: Manifest,
}

/// What decides what kind of manifest it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    media_type: Option<String>,
    schema_version: Option<u32>,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
}

impl Manifest {
    /// Of these parts.
    #[must_use]
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MANIFEST.to_owned()),
            config,
            layers,
            annotations: BTreeMap::new(),
        }
    }

    /// What is sent, and what its digest is of.
    ///
    /// # Errors
    /// [`RegistryError::Malformed`], which does not happen to what was built here.
    pub fn encoded(&self) -> Result<Vec<u8>, RegistryError> {
        serde_json::to_vec(self).map_err(|error| RegistryError::Malformed {
            what: "the manifest to be sent".to_owned(),
            reason: error.to_string(),
        })
    }

    /// Reads a manifest. `content_type` is what the answer said, which counts where the
    /// manifest itself does not say.
    pub(crate) fn read(
        what: &str,
        content_type: Option<&str>,
        content: &[u8],
    ) -> Result<Self, RegistryError> {
        let malformed = |reason: String| RegistryError::Malformed {
            what: format!("the manifest of {what}"),
            reason,
        };
        let outline: Outline =
            serde_json::from_slice(content).map_err(|error| malformed(error.to_string()))?;
        // Parameters such as a charset follow a semicolon (RFC 9110 section 8.3.1).
        let content_type = content_type
            .and_then(|text| text.split(';').next())
            .map(str::trim);
        let media = outline.media_type.as_deref().or(content_type);
        let is_index = media.is_some_and(|media| INDEXES.contains(&media));
        if is_index || (outline.manifests.is_some() && outline.layers.is_none()) {
            return Err(RegistryError::Index {
                what: what.to_owned(),
            });
        }
        if let Some(media) = media
            && media != MANIFEST
        {
            return Err(RegistryError::MediaType {
                what: format!("the manifest of {what}"),
                found: media.to_owned(),
                expected: MANIFEST,
            });
        }
        if outline.schema_version != Some(2) {
            return Err(malformed("its schemaVersion is not 2".to_owned()));
        }
        let manifest: Self =
            serde_json::from_slice(content).map_err(|error| malformed(error.to_string()))?;
        if manifest.layers.len() > MAX_LAYERS {
            return Err(malformed(format!("it has more than {MAX_LAYERS} layers")));
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(content_type: Option<&str>, content: &serde_json::Value) -> Result<Manifest, String> {
        Manifest::read("r/n:t", content_type, content.to_string().as_bytes())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_read() {
        let manifest = Manifest::new(
            Descriptor::of("a/b", b"{}"),
            vec![Descriptor::of("c/d", b"x")],
        );
        let text = manifest.encoded().unwrap();
        assert_eq!(
            Manifest::read("x", Some(MANIFEST), &text).unwrap(),
            manifest
        );
    }

    #[test]
    fn other_manifests_are_named() {
        let descriptor = json!({"mediaType": "a/b", "size": 1, "digest": Digest::of(b"x")});
        let whole = json!({"schemaVersion": 2, "config": descriptor, "layers": [descriptor]});
        let with = |key: &str, value: serde_json::Value| {
            let mut whole = whole.clone();
            whole.as_object_mut().unwrap().insert(key.to_owned(), value);
            whole
        };
        assert!(read(None, &whole).is_ok());
        assert!(read(Some(&format!("{MANIFEST}; charset=utf-8")), &whole).is_ok());
        for (content_type, content, words) in [
            (Some(INDEXES[0]), with("a", json!(1)), "an index"),
            (None, with("mediaType", json!(INDEXES[1])), "an index"),
            (
                None,
                json!({"schemaVersion": 2, "manifests": []}),
                "an index",
            ),
            (
                None,
                with(
                    "mediaType",
                    json!("application/vnd.docker.distribution.manifest.v2+json"),
                ),
                "media type",
            ),
            (Some("text/html"), whole.clone(), "media type"),
            (None, with("schemaVersion", json!(1)), "schemaVersion"),
            (None, json!({"schemaVersion": 2}), "missing field"),
            (
                None,
                with("layers", json!(vec![descriptor.clone(); 300])),
                "layers",
            ),
            (
                None,
                with(
                    "layers",
                    json!([{"mediaType": "a", "size": -1, "digest": "x"}]),
                ),
                "cannot be read",
            ),
            (None, json!("text"), "cannot be read"),
        ] {
            let error = read(content_type, &content).unwrap_err();
            assert!(error.contains(words), "{words} in {error}");
        }
    }
}
