//! Signatures, in the form of cosign.
//!
//! What is signed is a small JSON text, the payload of containers' "simple signing", that
//! names the manifest's digest. It is a layer of an artifact of its own, beside the signed one
//! under the tag `sha256-DIGEST.sig`, with the signature in an annotation (cosign's
//! `specs/SIGNATURE_SPEC.md`). Several may sign: each adds a layer.
//!
//! A signature says who vouched for which content. Under which name that was is in it too, and
//! does not count: an artifact may be copied to another registry with its signatures.

use crate::keys::{KeyError, PrivateKey, PublicKey};
use crate::manifest::Descriptor;
use crate::{Client, Digest, Manifest, Reference, RegistryError, Repository, Resolved};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The media type of a payload.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The annotation with the signature: base64 of DER.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// The media type of the configuration of signatures, which is that of an image.
const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// What a payload says that it is.
const TYPE: &str = "cosign container image signature";

/// The longest payload that is read, in bytes.
const MAX_PAYLOAD: u64 = 64 << 10;

/// The most signatures of one artifact that are looked at.
const MAX_SIGNATURES: usize = 64;

/// Why something was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// A payload with its signature, of which nothing was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    payload: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    critical: Critical,
    optional: Option<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    r#type: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: String,
}

impl Signature {
    /// Signs a manifest's digest.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn make(
        key: &PrivateKey,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Self, SignError> {
        let payload = Payload {
            critical: Critical {
                identity: Identity {
                    docker_reference: repository.to_string(),
                },
                image: Image {
                    docker_manifest_digest: digest.to_string(),
                },
                r#type: TYPE.to_owned(),
            },
            optional: None,
        };
        let payload = serde_json::to_vec(&payload).map_err(|error| RegistryError::Malformed {
            what: "the payload to be signed".to_owned(),
            reason: error.to_string(),
        })?;
        let signature = key.sign(&payload)?;
        Ok(Self { payload, signature })
    }

    /// Whether it is this key's, over this digest.
    #[must_use]
    pub fn is_by(&self, key: &PublicKey, digest: &Digest) -> bool {
        // The signature first: nothing that nobody signed is parsed.
        key.verifies(&self.payload, &self.signature)
            && serde_json::from_slice::<Payload>(&self.payload).is_ok_and(|payload| {
                payload.critical.r#type == TYPE
                    && payload.critical.image.docker_manifest_digest == digest.as_str()
            })
    }

    /// A payload and its signature, as a registry keeps them.
    ///
    /// # Errors
    /// The signature is no base64.
    pub fn of(payload: Vec<u8>, signature: &str) -> Result<Self, base64::DecodeError> {
        let signature = STANDARD.decode(signature.trim())?;
        Ok(Self { payload, signature })
    }

    fn layer(&self) -> Descriptor {
        let mut layer = Descriptor::of(SIMPLE_SIGNING, &self.payload);
        let signature = STANDARD.encode(&self.signature);
        layer.annotations.insert(SIGNATURE.to_owned(), signature);
        layer
    }
}

/// Where the signatures of a manifest are.
#[must_use]
pub fn place(repository: &Repository, digest: &Digest) -> Reference {
    Reference {
        repository: repository.clone(),
        tag: Some(format!("sha256-{}.sig", digest.hex())),
        digest: None,
    }
}

impl Client {
    /// The signatures of an artifact; none where there are none. Each was read whole and
    /// nothing of it verified.
    ///
    /// # Errors
    /// Those of asking a registry.
    pub async fn signatures(&self, signed: &Resolved) -> Result<Vec<Signature>, RegistryError> {
        let repository = &signed.reference.repository;
        let mut found = Vec::new();
        for layer in self.signed(signed).await?.into_iter().take(MAX_SIGNATURES) {
            let Some(signature) = layer.annotations.get(SIGNATURE) else {
                continue;
            };
            if layer.media_type != SIMPLE_SIGNING {
                continue;
            }
            let what = format!("a signature of {}", signed.reference);
            let payload = self.blob(repository, &layer, MAX_PAYLOAD, &what).await?;
            // One that is damaged is no signature, and the others are still some.
            found.extend(Signature::of(payload, signature));
        }
        Ok(found)
    }

    /// Adds a signature to those of an artifact. One that the key has made already stays.
    ///
    /// # Errors
    /// [`SignError`].
    pub async fn sign(&self, signed: &Resolved, key: &PrivateKey) -> Result<(), SignError> {
        let public = key.public();
        let before = self.signatures(signed).await?;
        if before.iter().any(|one| one.is_by(&public, &signed.digest)) {
            return Ok(());
        }
        let repository = &signed.reference.repository;
        let signature = Signature::make(key, repository, &signed.digest)?;
        let mut layers = self.signed(signed).await?;
        layers.push(signature.layer());
        // What cosign writes for signatures: an image that has no platform.
        let digests: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
        let config = json!({
            "architecture": "", "created": "0001-01-01T00:00:00Z", "os": "", "config": {},
            "history": layers.iter().map(|_| json!({"created": "0001-01-01T00:00:00Z"})).collect::<Vec<_>>(),
            "rootfs": {"type": "layers", "diff_ids": digests},
        });
        let config = Bytes::from(config.to_string());
        let descriptor = Descriptor::of(IMAGE_CONFIG, &config);
        self.push_blob(
            repository,
            &signature.layer(),
            Bytes::from(signature.payload),
        )
        .await?;
        self.push_blob(repository, &descriptor, config).await?;
        let manifest = Manifest::new(descriptor, layers);
        self.push_manifest(&place(repository, &signed.digest), &manifest)
            .await?;
        Ok(())
    }

    /// The layers of an artifact's signatures.
    async fn signed(&self, signed: &Resolved) -> Result<Vec<Descriptor>, RegistryError> {
        let place = place(&signed.reference.repository, &signed.digest);
        match self.resolve(&place).await {
            Ok(signatures) => Ok(signatures.manifest.layers),
            Err(RegistryError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_key_over_one_digest() {
        let (key, _) = PrivateKey::generate().unwrap();
        let (other, _) = PrivateKey::generate().unwrap();
        let repository = "localhost/a".parse::<Reference>().unwrap().repository;
        let digest = Digest::of(b"a");
        let signature = Signature::make(&key, &repository, &digest).unwrap();
        assert!(signature.is_by(&key.public(), &digest));
        assert!(!signature.is_by(&other.public(), &digest));
        assert!(!signature.is_by(&key.public(), &Digest::of(b"b")));
        let payload: serde_json::Value = serde_json::from_slice(&signature.payload).unwrap();
        assert_eq!(
            payload,
            json!({"critical": {
                "identity": {"docker-reference": "localhost/a"},
                "image": {"docker-manifest-digest": digest.as_str()},
                "type": "cosign container image signature"}, "optional": null})
        );
    }

    #[test]
    fn a_signature_over_something_else_is_none() {
        let (key, _) = PrivateKey::generate().unwrap();
        let digest = Digest::of(b"a");
        for payload in [
            json!({"critical": {"identity": {"docker-reference": ""},
                "image": {"docker-manifest-digest": digest.as_str()}, "type": "something else"}}),
            json!({"critical": {"identity": {"docker-reference": ""}, "type": TYPE}}),
            json!("text"),
        ] {
            let payload = payload.to_string().into_bytes();
            let signature = key.sign(&payload).unwrap();
            let signature = Signature { payload, signature };
            assert!(!signature.is_by(&key.public(), &digest));
        }
        assert!(Signature::of(Vec::new(), "!").is_err());
    }
}
