//! From a core module to a component, for languages whose compilers end at the former.
//!
//! What `wasm-tools component embed` and `component new` do, by the crates behind them, so that
//! authors need neither. Imports of the world that the module does not use are left out.

use super::contract::PACKAGES;
use anyhow::{Context, Result};
use cofferdam_contract::kinds::Kind;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Makes a component of a core module whose imports and exports are named as the canonical ABI
/// has them. Each adapter is a module that takes the place of an import module of its name.
pub fn make(mut module: Vec<u8>, world: Kind, adapters: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    for (package, text) in PACKAGES {
        resolve
            .push_str(format!("{package}.wit"), text)
            .with_context(|| format!("the contract's package {package} cannot be read"))?;
    }
    let id = resolve
        .worlds
        .iter()
        .find(|(_, candidate)| candidate.name == world.world())
        .map(|(id, _)| id)
        .with_context(|| format!("the contract has no world {world}"))?;
    embed_component_metadata(&mut module, &resolve, id, StringEncoding::UTF8)
        .context("the compiler's result is no WebAssembly module")?;
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module)?;
    for (name, adapter) in adapters {
        encoder.adapter(name, adapter)?;
    }
    encoder
        .encode()
        .with_context(|| format!("the compiler's result does not fit the world {world}"))
}
