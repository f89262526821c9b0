//! Putting a manifest into a component.

use crate::error::LoadError;
use cofferdam_contract::manifest::{Manifest, SECTION};
use std::borrow::Cow;
use wasm_encoder::{ComponentSection, CustomSection};
use wasmparser::{BinaryReader, BinaryReaderError, Parser};

/// Length of the header: magic, version and layer.
const HEADER: usize = 8;

/// The id of a custom section (component binary format, as in core WebAssembly §5.5.3).
const CUSTOM: u8 = 0;

/// The component with `manifest` as its only manifest section; everything else stays
/// byte for byte.
pub fn embed_manifest(component: &[u8], manifest: &Manifest) -> Result<Vec<u8>, LoadError> {
    if Parser::is_core_wasm(component) {
        return Err(LoadError::CoreModule);
    }
    if !Parser::is_component(component) {
        return Err(LoadError::NotWasm {
            reason: "it does not begin as one".to_owned(),
            offset: 0,
        });
    }
    let text = manifest.to_toml()?;
    let mut output = without_manifest(component).map_err(|error| LoadError::NotWasm {
        reason: error.message().to_owned(),
        offset: error.offset() as u64,
    })?;
    let section = CustomSection {
        name: Cow::Borrowed(SECTION),
        data: Cow::Borrowed(text.as_bytes()),
    };
    section.append_to_component(&mut output);
    Ok(output)
}

fn without_manifest(component: &[u8]) -> Result<Vec<u8>, BinaryReaderError> {
    let mut reader = BinaryReader::new(component, 0);
    let mut output = reader.read_bytes(HEADER)?.to_vec();
    while !reader.eof() {
        let start = reader.original_position();
        let id = reader.read_u8()?;
        let length = reader.read_var_u32()?;
        let body_start = reader.original_position();
        let body = reader.read_bytes(usize::try_from(length).unwrap_or(usize::MAX))?;
        let is_manifest =
            id == CUSTOM && BinaryReader::new(body, body_start).read_string()? == SECTION;
        if !is_manifest {
            let end = reader.original_position();
            output.extend_from_slice(component.get(start..end).unwrap_or_default());
        }
    }
    Ok(output)
}
