//! How many bytes a result has: of contents and texts, not of records with a fixed shape.

use cofferdam_contract::kinds::FileTree;
use cofferdam_contract::types::{Identity, Metadata, MountReport, Page, Space, StepPlan};

/// Something a call gives.
pub(crate) trait Measure: Send {
    /// Its bytes.
    fn bytes(&self) -> u64 {
        0
    }
}

fn sum<'a>(texts: impl Iterator<Item = &'a String>) -> u64 {
    texts.map(|text| text.len() as u64).sum()
}

impl Measure for () {}
impl Measure for bool {}
impl Measure for Metadata {}
impl Measure for Space {}
impl Measure for MountReport {}
impl Measure for Option<Identity> {}
impl Measure for Box<dyn FileTree> {}

impl Measure for Vec<u8> {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }
}

impl Measure for String {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }
}

impl Measure for Vec<String> {
    fn bytes(&self) -> u64 {
        sum(self.iter())
    }
}

impl Measure for Page {
    fn bytes(&self) -> u64 {
        sum(self.entries.iter().map(|entry| &entry.name))
    }
}

impl Measure for StepPlan {
    fn bytes(&self) -> u64 {
        let changes = self.changes.iter();
        let texts = changes.flat_map(|change| [&change.action, &change.subject, &change.detail]);
        sum(texts.chain([&self.summary]))
    }
}
