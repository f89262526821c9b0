//! The bindings that the SDK for C keeps: what wit-bindgen makes of the contract, so that
//! authors need no generator and a change of the contract is seen in review.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use wit_bindgen_core::{Files as Generated, WorldGenerator};
use wit_parser::{Resolve, UnresolvedPackageGroup, WorldId};

use super::Files;

/// The worlds that an SDK has, and the folder of their bindings there.
const C: [&str; 2] = ["disk-source", "fixer"];
const C_FOLDER: &str = "sdk/c/bindings";

/// The folders that hold nothing but bindings.
pub(super) const FOLDERS: [&str; 1] = [C_FOLDER];

/// Makes all bindings from the packages below `wit`, by path from the root.
pub(super) fn make(wit: &Path) -> Result<Files> {
    let mut files = Files::new();
    for world in C {
        let options = wit_bindgen_c::Opts {
            // What a component is made of is put in by `cofferdam plugin build`.
            no_object_file: true,
            // One name for the types that each world has, so that the SDK is written once.
            rename_world: Some("plugin".to_owned()),
            ..wit_bindgen_c::Opts::default()
        };
        let folder = Path::new(C_FOLDER).join(world);
        generate(&mut *options.build(), wit, world, &folder, &mut files)?;
    }
    Ok(files)
}

fn generate(
    generator: &mut dyn WorldGenerator,
    wit: &Path,
    world: &str,
    folder: &Path,
    files: &mut Files,
) -> Result<()> {
    // The generator writes into what it is given.
    let (mut resolve, id) = load(wit, world)?;
    let mut generated = Generated::default();
    generator.generate(&mut resolve, id, &mut generated)?;
    for (name, bytes) in generated.iter() {
        let text = String::from_utf8(bytes.to_vec())
            .with_context(|| format!("{name} of {world} is no text"))?;
        files.insert(folder.join(name), text);
    }
    Ok(())
}

/// The contract below `wit`, and one of its worlds.
fn load(wit: &Path, world: &str) -> Result<(Resolve, WorldId)> {
    let mut groups = Vec::new();
    let entries = fs::read_dir(wit).with_context(|| format!("cannot list {}", wit.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            groups.push(UnresolvedPackageGroup::parse_dir(&path)?);
        }
    }
    groups.sort_by(|one, other| one.main.name.cmp(&other.main.name));
    let mut resolve = Resolve::default();
    let main = groups.pop().context("wit/ holds no package")?;
    let unresolved = |error| anyhow::anyhow!("wit/ does not resolve: {error}");
    resolve.push_groups(main, groups).map_err(unresolved)?;
    let id = resolve
        .worlds
        .iter()
        .find(|(_, candidate)| candidate.name == world)
        .map(|(id, _)| id)
        .with_context(|| format!("wit/ has no world {world}"))?;
    Ok((resolve, id))
}
