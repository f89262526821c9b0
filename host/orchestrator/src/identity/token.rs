//! What a token is, and what is kept of it.
//!
//! Text: `cof_<id>_<secret>`; the id is the 26 characters of the token's ULID (the part
//! after `tok-` of its record), the secret 32 bytes from the system's random source as 64
//! lower-case hexadecimal digits. The fixed form lets scanners for leaked secrets find it.
//!
//! At rest only an argon2id hash of the secret is kept, as a PHC string
//! (<https://github.com/P-H-C/phc-string-format>). The parameters are the first of the
//! equivalent settings of the OWASP Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane;
//! RFC 9106 §4 recommends more (64 MiB, 3 passes) for passwords. A token has 256 bits of
//! entropy, which no number of guesses exhausts, so that stretching it more would only cost
//! the host memory for each new client.

use super::error::IdentityError;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use zeroize::Zeroizing;

/// What every token begins with.
pub const PREFIX: &str = "cof_";
/// What the ids of their records begin with.
const ID_PREFIX: &str = "tok-";
/// Characters of a ULID (<https://github.com/ulid/spec>).
const ID_LENGTH: usize = 26;
/// Bytes of a token's secret.
const SECRET_BYTES: usize = 32;
/// Memory of one hash, KiB.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over that memory.
const PASSES: u32 = 2;
/// Lanes.
const LANES: u32 = 1;

/// A token taken apart. It is not verified.
pub(super) struct TokenText<'a> {
    /// The record's id, `tok-…`.
    pub id: String,
    /// The secret's digits.
    pub secret: &'a str,
}

impl<'a> TokenText<'a> {
    /// Takes a token apart; none where it does not have the form of one.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let well_formed = id.len() == ID_LENGTH
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && secret.len() == 2 * SECRET_BYTES
            && secret
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        well_formed.then(|| Self {
            id: format!("{ID_PREFIX}{id}"),
            secret,
        })
    }
}

/// A token that was just made: what is shown once, and what is kept.
pub(super) struct Minted {
    /// The record's id, `tok-…`.
    pub id: String,
    /// The text to show.
    pub text: Zeroizing<String>,
    /// The PHC string to keep.
    pub hash: String,
}

/// Makes a token. Takes as long as one hash.
pub(super) fn mint() -> Result<Minted, IdentityError> {
    let mut bytes = Zeroizing::new([0_u8; SECRET_BYTES]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| {
        IdentityError::Host(format!("the system's random source failed: {error}"))
    })?;
    let id = cofferdam_store::new_token_id();
    let ulid = id.strip_prefix(ID_PREFIX).unwrap_or(&id);
    let secret = Zeroizing::new(hex::encode(bytes.as_slice()));
    let hash = hasher()?
        .hash_password(secret.as_bytes())
        .map_err(|error| IdentityError::Host(format!("a token cannot be hashed: {error}")))?
        .to_string();
    Ok(Minted {
        text: Zeroizing::new(format!("{PREFIX}{ulid}_{}", secret.as_str())),
        id,
        hash,
    })
}

/// Whether `secret` is the one that `hash` was made of. The comparison takes the same time
/// wherever the two differ (`password-hash` compares in constant time).
pub(super) fn matches(secret: &str, hash: &str) -> Result<bool, IdentityError> {
    let parsed = PasswordHash::new(hash).map_err(|error| {
        IdentityError::Host(format!(
            "the hash of a token in the store is damaged: {error}; revoke the token and make a new one"
        ))
    })?;
    match hasher()?.verify_password(secret.as_bytes(), &parsed) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(IdentityError::Host(format!(
            "a token cannot be checked: {error}"
        ))),
    }
}

fn hasher() -> Result<Argon2<'static>, IdentityError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| IdentityError::Host(format!("argon2 parameters: {error}")))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_is_recognised_and_only_its_hash_is_kept() {
        let minted = mint().unwrap();
        let parsed = TokenText::parse(&minted.text).unwrap();
        assert_eq!(parsed.id, minted.id);
        assert!(matches(parsed.secret, &minted.hash).unwrap());
        assert!(
            minted.hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            minted.hash
        );
        assert!(!minted.hash.contains(parsed.secret));
    }

    #[test]
    fn two_tokens_share_nothing() {
        let (a, b) = (mint().unwrap(), mint().unwrap());
        assert_ne!(a.id, b.id);
        assert_ne!(a.text.as_str(), b.text.as_str());
        let secret = TokenText::parse(&b.text).unwrap().secret;
        assert!(!matches(secret, &a.hash).unwrap());
    }

    #[test]
    fn one_wrong_digit_anywhere_is_another_token() {
        let minted = mint().unwrap();
        let secret = TokenText::parse(&minted.text).unwrap().secret;
        for place in [0, 31, 63] {
            let mut wrong = secret.to_owned();
            let digit = if &wrong[place..=place] == "0" {
                "1"
            } else {
                "0"
            };
            wrong.replace_range(place..=place, digit);
            assert!(!matches(&wrong, &minted.hash).unwrap(), "digit {place}");
        }
    }

    #[test]
    fn what_has_not_the_form_of_a_token_is_none() {
        let id = "01J8Z3N6QK5W7R9T2V4X6Y8A0B";
        let secret = "0123456789abcdef".repeat(4);
        assert!(TokenText::parse(&format!("cof_{id}_{secret}")).is_some());
        for text in [
            String::new(),
            "cof_".to_owned(),
            format!("cof_{id}"),
            format!("cof_{id}_"),
            format!("{id}_{secret}"),
            format!("COF_{id}_{secret}"),
            format!("cof_{id}_{secret}0"),
            format!("cof_{id}_{}", secret.to_uppercase()),
            format!("cof_{}_{secret}", "é".repeat(13)),
            format!("cof_{id}_{}", "é".repeat(32)),
            format!("cof_../../../../../../../../x_{secret}"),
        ] {
            assert!(TokenText::parse(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_damaged_hash_is_an_error_and_not_a_no() {
        assert!(matches("x", "not a hash").is_err());
    }
}
