//! Keys: ECDSA over P-256 with SHA-256, which is what cosign signs and verifies with.
//!
//! A private key is PKCS#8 (RFC 5958) in PEM, not encrypted: the file's mode protects it. A
//! public key is a SubjectPublicKeyInfo (RFC 5480) in PEM, as `cosign generate-key-pair` and
//! `openssl` write it.

use crate::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use std::fmt::Write as _;

/// What comes before the point in the SubjectPublicKeyInfo of a P-256 key: the sequence, the
/// identifiers id-ecPublicKey and prime256v1, and the head of the bit string (RFC 5480
/// section 2).
const SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The length of an uncompressed point (SEC 1 section 2.3.3).
const POINT: usize = 65;

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is something else.
    #[error("{found}; what is wanted is a {wanted} (ECDSA, curve P-256) in PEM")]
    Form {
        /// What it is.
        found: String,
        /// What it has to be.
        wanted: &'static str,
    },
    /// The operating system gives no random bytes.
    #[error("no key can be made or used: the operating system gives no random bytes")]
    Random,
}

/// A private key.
pub struct PrivateKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.public().fingerprint().fmt(formatter)
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    point: Vec<u8>,
}

impl PrivateKey {
    /// A new key, and its PEM.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate() -> Result<(Self, String), KeyError> {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)
            .map_err(|_| KeyError::Random)?;
        let key = Self::of(document.as_ref())?;
        Ok((key, pem(PRIVATE, document.as_ref())))
    }

    /// Reads PEM.
    ///
    /// # Errors
    /// [`KeyError::Form`].
    pub fn read(text: &str) -> Result<Self, KeyError> {
        Self::of(&content(text, PRIVATE, "private key")?)
    }

    fn of(document: &[u8]) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document, &random)
            .map_err(|error| KeyError::Form {
                found: format!("it is no such key ({error})"),
                wanted: "private key",
            })?;
        Ok(Self { pair, random })
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey {
            point: self.pair.public_key().as_ref().to_vec(),
        }
    }

    /// Signs, and gives the signature in DER (RFC 3279 section 2.2.3).
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.pair.sign(&self.random, message);
        let signature = signature.map_err(|_| KeyError::Random)?;
        Ok(signature.as_ref().to_vec())
    }
}

impl PublicKey {
    /// Reads PEM.
    ///
    /// # Errors
    /// [`KeyError::Form`].
    pub fn read(text: &str) -> Result<Self, KeyError> {
        let document = content(text, PUBLIC, "public key")?;
        match document.strip_prefix(&SPKI_HEAD) {
            Some(point) if point.len() == POINT && point.first() == Some(&4) => Ok(Self {
                point: point.to_vec(),
            }),
            _ => Err(KeyError::Form {
                found: "it is a public key of another kind".to_owned(),
                wanted: "public key",
            }),
        }
    }

    /// Its PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        pem(PUBLIC, &self.document())
    }

    /// The digest of its SubjectPublicKeyInfo, which tells keys apart whatever they are
    /// called.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.document())
    }

    /// Whether the signature (DER) is this key's over the message.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point)
            .verify(message, signature)
            .is_ok()
    }

    fn document(&self) -> Vec<u8> {
        [SPKI_HEAD.as_slice(), &self.point].concat()
    }
}

/// PEM (RFC 7468) of one document.
fn pem(label: &str, document: &[u8]) -> String {
    let text = STANDARD.encode(document);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII, so that any length is a boundary.
        let (line, more) = rest.split_at(rest.len().min(64));
        // Writing to a text does not fail.
        writeln!(pem, "{line}").ok();
        rest = more;
    }
    pem + &format!("-----END {label}-----\n")
}

/// The document of the first PEM block, which has to have this label.
fn content(text: &str, label: &str, wanted: &'static str) -> Result<Vec<u8>, KeyError> {
    let refuse = |found: &str| KeyError::Form {
        found: found.to_owned(),
        wanted,
    };
    let begins = text.split_once("-----BEGIN ");
    let (found, rest) = begins
        .and_then(|(_, rest)| rest.split_once("-----"))
        .ok_or_else(|| refuse("it is no PEM"))?;
    if found != label {
        // No part of a key: the label is cut where none is that long.
        let found: String = found.chars().take(64).collect();
        let what = if found.contains("ENCRYPTED") {
            format!("it is encrypted ({found}), which is not read")
        } else {
            format!("it is a {found}")
        };
        return Err(refuse(&what));
    }
    let (body, _) = rest
        .split_once("-----END ")
        .ok_or_else(|| refuse("its PEM has no end"))?;
    let body: String = body.split_whitespace().collect();
    STANDARD
        .decode(body)
        .map_err(|_| refuse("its PEM is no base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_signs_and_its_public_half_verifies() {
        let (key, text) = PrivateKey::generate().unwrap();
        assert!(text.starts_with("-----BEGIN PRIVATE KEY-----\n"), "{text}");
        let again = PrivateKey::read(&text).unwrap();
        assert_eq!(again.public(), key.public());
        let public = PublicKey::read(&key.public().pem()).unwrap();
        assert_eq!(public, key.public());
        let signature = key.sign(b"message").unwrap();
        assert!(public.verifies(b"message", &signature));
        assert!(!public.verifies(b"massage", &signature));
        let (other, _) = PrivateKey::generate().unwrap();
        assert!(!other.public().verifies(b"message", &signature));
        assert_ne!(other.public().fingerprint(), public.fingerprint());
        for cut in 0..signature.len() {
            assert!(!public.verifies(b"message", &signature[..cut]), "{cut}");
        }
    }

    #[test]
    fn what_is_no_such_key_is_named() {
        let (key, private) = PrivateKey::generate().unwrap();
        let public = key.public().pem();
        for (text, words) in [
            ("", "no PEM"),
            (public.as_str(), "it is a PUBLIC KEY"),
            (
                "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nx\n-----END",
                "encrypted",
            ),
            ("-----BEGIN EC PRIVATE KEY-----\nx", "EC PRIVATE KEY"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA", "no end"),
            (
                "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----",
                "base64",
            ),
            (
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
                "no such key",
            ),
        ] {
            let error = PrivateKey::read(text).unwrap_err().to_string();
            assert!(error.contains(words), "{words} in {error}");
        }
        // Ed25519, from RFC 8410 section 10.1.
        let other = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----";
        for (text, words) in [
            (other, "another kind"),
            (private.as_str(), "it is a PRIVATE KEY"),
        ] {
            let error = PublicKey::read(text).unwrap_err().to_string();
            assert!(error.contains(words), "{words} in {error}");
        }
    }
}
