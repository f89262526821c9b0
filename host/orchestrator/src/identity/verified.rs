//! Tokens whose secret was found right, so that not every request pays for argon2.
//!
//! Only the costly half of the answer is remembered: *this text has the secret that this
//! hash was made of*, which stays true for ever. Whether the token is revoked or expired and
//! what its user may do is read from the store for every request, so that a change takes
//! effect with the next one and nothing has to be invalidated; that includes changes made by
//! another process. A record whose hash was replaced does not match what is remembered.
//!
//! The text itself is not kept, only its SHA-256: with 256 bits of entropy in it that
//! cannot be turned back.

use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq;

/// Tokens that are remembered; beyond it the first verified is forgotten.
const REMEMBERED: usize = 4096;

#[derive(Default)]
struct Inner {
    /// By token id: digest of the text, and the hash it matched.
    tokens: HashMap<String, ([u8; 32], String)>,
    order: VecDeque<String>,
}

/// See the module's head.
#[derive(Default)]
pub(super) struct Verified(Mutex<Inner>);

impl Verified {
    /// Whether this text was found to match this hash.
    pub fn knows(&self, id: &str, text: &str, hash: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner
            .tokens
            .get(id)
            .is_some_and(|(known, of)| bool::from(known.ct_eq(&digest)) && of == hash)
    }

    /// Remembers that this text matches this hash.
    pub fn remember(&self, id: &str, text: &str, hash: &str) {
        let digest = Sha256::digest(text.as_bytes()).into();
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = inner
            .tokens
            .insert(id.to_owned(), (digest, hash.to_owned()))
            .is_some();
        if !known {
            inner.order.push_back(id.to_owned());
        }
        while inner.order.len() > REMEMBERED {
            if let Some(oldest) = inner.order.pop_front() {
                inner.tokens.remove(&oldest);
            }
        }
    }

    /// Forgets a token.
    pub fn forget(&self, id: &str) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.tokens.remove(id).is_some() {
            inner.order.retain(|known| known != id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_text_and_hash_are_known() {
        let verified = Verified::default();
        assert!(!verified.knows("tok-1", "text", "hash"));
        verified.remember("tok-1", "text", "hash");
        assert!(verified.knows("tok-1", "text", "hash"));
        assert!(!verified.knows("tok-1", "texu", "hash"));
        assert!(!verified.knows("tok-1", "text", "other hash"));
        assert!(!verified.knows("tok-2", "text", "hash"));
        verified.forget("tok-1");
        assert!(!verified.knows("tok-1", "text", "hash"));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_newest_stay() {
        let verified = Verified::default();
        for number in 0..REMEMBERED + 10 {
            verified.remember(&format!("tok-{number}"), "text", "hash");
            verified.remember(&format!("tok-{number}"), "text", "hash");
        }
        assert!(!verified.knows("tok-9", "text", "hash"));
        assert!(verified.knows("tok-10", "text", "hash"));
        let inner = verified.0.lock().unwrap();
        assert_eq!(inner.tokens.len(), REMEMBERED);
        assert_eq!(inner.order.len(), REMEMBERED);
    }
}
