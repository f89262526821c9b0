//! Contents: in a recording's lines by their digest, and once each in full.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Texts up to this many bytes are kept readable.
const LONGEST_TEXT: usize = 256 << 10;

/// A content. Two are the same if their digests are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Block {
    pub(crate) sha256: String,
    pub(crate) length: u64,
    /// What it is, where that is at hand.
    #[serde(skip)]
    pub(crate) content: Option<Arc<[u8]>>,
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        self.sha256 == other.sha256 && self.length == other.length
    }
}

impl Block {
    pub(crate) fn new(content: &[u8]) -> Self {
        Self {
            sha256: hex::encode(Sha256::digest(content)),
            length: content.len() as u64,
            content: Some(content.into()),
        }
    }

    /// The content; empty where it is not at hand.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.content.as_deref().unwrap_or_default().to_vec()
    }

    pub(crate) fn stored(&self) -> StoredBlock {
        let content = self.content.as_deref().unwrap_or_default();
        let (text, base64) = match std::str::from_utf8(content) {
            Ok(text) if text.len() <= LONGEST_TEXT => (Some(text.to_owned()), None),
            _ => (None, Some(STANDARD.encode(content))),
        };
        StoredBlock {
            block: self.sha256.clone(),
            text,
            base64,
        }
    }
}

/// A content as its line has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredBlock {
    block: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl StoredBlock {
    /// The content, which has to be what its digest says.
    pub(crate) fn read(self) -> Result<Block, String> {
        let content = match (self.text, self.base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(base64)) => STANDARD
                .decode(base64)
                .map_err(|error| format!("a block is no base64: {error}"))?,
            _ => return Err("a block has not exactly one of text and base64".to_owned()),
        };
        let block = Block::new(&content);
        if block.sha256 != self.block {
            return Err(format!(
                "the block {} has the digest {}",
                self.block, block.sha256
            ));
        }
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_come_back_and_others_do_not() {
        for content in [
            &b""[..],
            b"text\n",
            b"\xff\0",
            &vec![b'a'; LONGEST_TEXT + 1],
        ] {
            let block = Block::new(content);
            let line = serde_json::to_string(&block.stored()).unwrap();
            let read: StoredBlock = serde_json::from_str(&line).unwrap();
            assert_eq!(read.read().unwrap().bytes(), content);
        }
        let mut stored = Block::new(b"text").stored();
        stored.text = Some("tezt".to_owned());
        assert!(stored.read().unwrap_err().contains("has the digest"));
        let neither = StoredBlock {
            block: String::new(),
            text: None,
            base64: None,
        };
        assert!(neither.read().is_err());
    }
}
