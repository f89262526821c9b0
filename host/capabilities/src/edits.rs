//! `cofferdam:guest/edits`: the recorder.

use crate::arguments::{self, MOST_CONTENT, MOST_NOTE, MOST_PATH, MOST_WORDS};
use crate::host::{Host, capability};
use cofferdam_contract::bindings::cofferdam::guest::edits;
use cofferdam_contract::services::Edits;
use cofferdam_contract::types::{Attributes, Error, Severity};
use std::sync::Arc;

capability!(
    EditsCapability,
    "cofferdam:guest/edits@0.1.0",
    cofferdam_contract::bindings::cofferdam::guest::edits
);

/// The longest reason: it is one sentence.
const MOST_REASON: usize = 1_024;

fn check(paths: &[&str], content: usize, mode: u32, reason: &str) -> Result<(), Error> {
    for path in paths {
        arguments::path(path)?;
    }
    arguments::length(content, MOST_CONTENT)?;
    arguments::mode(mode)?;
    if reason.trim().is_empty() || reason.len() > MOST_REASON {
        return Err(Error::invalid(format!(
            "the reason of an edit is one sentence of 1 to {MOST_REASON} bytes, and this has {}",
            reason.len()
        )));
    }
    Ok(())
}

/// Refuses a label that no guest has.
fn check_label(attributes: &Attributes) -> Result<(), Error> {
    let label = attributes.label.as_deref().unwrap_or_default();
    arguments::texts("the label", &[label], MOST_WORDS)
}

impl Host<'_> {
    /// As [`Host::edits`], of something new with attributes.
    fn new_edits(
        &self,
        path: &str,
        content: usize,
        attributes: &Attributes,
        reason: &str,
    ) -> wasmtime::Result<Result<Arc<dyn Edits>, Error>> {
        let edits = self.edits(&[path], content, attributes.mode, reason)?;
        Ok(edits.and_then(|edits| check_label(attributes).map(|()| edits)))
    }

    fn edits(
        &self,
        paths: &[&str],
        content: usize,
        mode: u32,
        reason: &str,
    ) -> wasmtime::Result<Result<Arc<dyn Edits>, Error>> {
        let edits = self.service::<dyn Edits>()?;
        Ok(check(paths, content, mode, reason).map(|()| edits))
    }
}

/// Records an edit whose arguments were checked.
macro_rules! record {
    ($checked:expr, $edits:ident => $call:expr) => {
        match $checked? {
            Ok($edits) => Ok($call.await),
            Err(error) => Ok(Err(error)),
        }
    };
}

impl edits::Host for Host<'_> {
    async fn write(
        &mut self,
        path: String,
        content: Vec<u8>,
        reason: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        record!(self.edits(&[&path], content.len(), 0, &reason), edits =>
            edits.write(&path, content, &reason))
    }

    async fn create(
        &mut self,
        path: String,
        content: Vec<u8>,
        attributes: Attributes,
        reason: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        record!(self.new_edits(&path, content.len(), &attributes, &reason), edits =>
            edits.create(&path, content, attributes, &reason))
    }

    async fn append(
        &mut self,
        path: String,
        content: Vec<u8>,
        reason: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        record!(self.edits(&[&path], content.len(), 0, &reason), edits =>
            edits.append(&path, content, &reason))
    }

    async fn patch(
        &mut self,
        path: String,
        offset: u64,
        content: Vec<u8>,
        reason: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        record!(self.edits(&[&path], content.len(), 0, &reason), edits =>
            edits.patch(&path, offset, content, &reason))
    }

    async fn copy(
        &mut self,
        from: String,
        to: String,
        reason: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        record!(self.edits(&[&from, &to], 0, 0, &reason), edits =>
            edits.copy(&from, &to, &reason))
    }

    async fn make_directory(
        &mut self,
        path: String,
        attributes: Attributes,
        reason: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        record!(self.new_edits(&path, 0, &attributes, &reason), edits =>
            edits.make_directory(&path, attributes, &reason))
    }

    async fn rename(
        &mut self,
        from: String,
        to: String,
        reason: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        record!(self.edits(&[&from, &to], 0, 0, &reason), edits =>
            edits.rename(&from, &to, &reason))
    }

    async fn remove(
        &mut self,
        path: String,
        reason: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        record!(self.edits(&[&path], 0, 0, &reason), edits => edits.remove(&path, &reason))
    }

    async fn symlink(
        &mut self,
        path: String,
        target: String,
        attributes: Attributes,
        reason: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        if let Err(error) = arguments::texts("the link's target", &[&target], MOST_PATH) {
            return Ok(Err(error));
        }
        record!(self.new_edits(&path, 0, &attributes, &reason), edits =>
            edits.symlink(&path, &target, attributes, &reason))
    }

    async fn link(
        &mut self,
        existing: String,
        path: String,
        reason: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        record!(self.edits(&[&existing, &path], 0, 0, &reason), edits =>
            edits.link(&existing, &path, &reason))
    }

    async fn set_mode(
        &mut self,
        path: String,
        mode: u32,
        reason: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        record!(self.edits(&[&path], 0, mode, &reason), edits =>
            edits.set_mode(&path, mode, &reason))
    }

    async fn set_owner(
        &mut self,
        path: String,
        owner: u32,
        group: u32,
        reason: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        record!(self.edits(&[&path], 0, 0, &reason), edits =>
            edits.set_owner(&path, owner, group, &reason))
    }

    async fn set_xattr(
        &mut self,
        path: String,
        name: String,
        value: Option<Vec<u8>>,
        reason: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        if let Err(error) = arguments::texts("the attribute's name", &[&name], MOST_WORDS) {
            return Ok(Err(error));
        }
        let content = value.as_ref().map_or(0, Vec::len);
        record!(self.edits(&[&path], content, 0, &reason), edits =>
            edits.set_xattr(&path, &name, value, &reason))
    }

    async fn note(
        &mut self,
        severity: Severity,
        message: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let edits = self.service::<dyn Edits>()?;
        Ok(arguments::texts("a remark", &[&message], MOST_NOTE)
            .and_then(|()| edits.note(severity, &message)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_contract::types::ErrorCode;

    #[test]
    fn what_wit_forbids_is_refused_before_it_is_recorded() {
        assert_eq!(check(&["/a"], MOST_CONTENT, 0o644, "because"), Ok(()));
        let long = "x".repeat(MOST_REASON + 1);
        let cases = [
            (check(&["a"], 0, 0, "because"), ErrorCode::Invalid),
            (check(&["/a", "/b/.."], 0, 0, "because"), ErrorCode::Invalid),
            (
                check(&["/a"], MOST_CONTENT + 1, 0, "because"),
                ErrorCode::Limit,
            ),
            (check(&["/a"], 0, 0o100_644, "because"), ErrorCode::Invalid),
            (check(&["/a"], 0, 0, " "), ErrorCode::Invalid),
            (check(&["/a"], 0, 0, &long), ErrorCode::Invalid),
        ];
        for (result, code) in cases {
            assert_eq!(result.unwrap_err().code, code);
        }
    }
}
