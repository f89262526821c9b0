//! From the pieces of a VMDK to its descriptor, and from the descriptor to its pieces.

use cofferdam_sdk::source::SourceFolder;
use cofferdam_sdk::{Error, OptionalExt, Result};

use crate::descriptor::{extents, leaves_folder};
use crate::signature::is_descriptor;

/// Descriptors have a few kilobytes at most; nothing longer is read as one.
const LONGEST: u32 = 1 << 20;
/// As many missing files as a message names.
const NAMED: usize = 5;

/// Whether the name ends as those of VMDK files do.
pub fn is_named(name: &str) -> bool {
    stem(name).is_some()
}

fn stem(name: &str) -> Option<&str> {
    let (stem, extension) = name.rsplit_once('.')?;
    extension.eq_ignore_ascii_case("vmdk").then_some(stem)
}

/// Whether the name is that of one of several pieces (`disk-f001.vmdk`, `disk-s001.vmdk`).
pub fn is_numbered(name: &str) -> bool {
    let Some((_, last)) = stem(name).and_then(|stem| stem.rsplit_once('-')) else {
        return false;
    };
    let number = last.strip_prefix(['f', 's', 'F', 'S']);
    number.is_some_and(|digits| digits.len() >= 3 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// The descriptor that by custom belongs to a piece: `disk.vmdk` for `disk-flat.vmdk`.
fn customary(name: &str) -> Option<String> {
    let (stem, last) = stem(name)?.rsplit_once('-')?;
    let word = ["flat", "delta", "sesparse"]
        .iter()
        .any(|word| last.eq_ignore_ascii_case(word));
    (word || is_numbered(name)).then(|| format!("{stem}.vmdk"))
}

/// The descriptor in the folder that names `piece` as an extent; none where there is none,
/// `conflict` where there are several and custom does not decide.
pub fn owner(piece: &str, folder: &dyn SourceFolder) -> Result<Option<String>> {
    let mut candidates = folder.list()?;
    candidates
        .retain(|file| is_named(&file.name) && file.name != piece && file.size <= LONGEST.into());
    if let Some(custom) = customary(piece)
        && candidates.iter().any(|file| file.name == custom)
        && names(&custom, piece, folder)?
    {
        return Ok(Some(custom));
    }
    let mut owners = Vec::new();
    for file in candidates {
        // One that cannot be read is somebody else's.
        if names(&file.name, piece, folder).unwrap_or(false) {
            owners.push(file.name);
        }
    }
    if owners.len() > 1 {
        return Err(Error::conflict(format!(
            "{piece} is a piece of more than one VMDK: {}",
            owners.join(", ")
        ))
        .with_hint("give the one that you mean"));
    }
    Ok(owners.pop())
}

fn names(descriptor: &str, piece: &str, folder: &dyn SourceFolder) -> Result<bool> {
    let text = folder.read(descriptor, LONGEST)?;
    Ok(is_descriptor(&text) && extents(&text).iter().any(|extent| extent.file == piece))
}

/// Checks that everything the descriptor names is in the folder and long enough, and says
/// what is odd about it.
pub fn check(descriptor: &str, folder: &dyn SourceFolder) -> Result<Vec<String>> {
    let text = folder.read(descriptor, LONGEST)?;
    // Several extents may be parts of one file; the farthest decides.
    let mut needed: Vec<(String, Option<u64>)> = Vec::new();
    for extent in extents(&text) {
        if let Some(why) = leaves_folder(&extent.file) {
            return Err(Error::denied(format!(
                "the VMDK descriptor {descriptor} names \"{}\": {why}, and only files of its \
                 own folder are opened",
                extent.file
            ))
            .with_hint("put the file beside the descriptor and write its bare name into it"));
        }
        match needed.iter_mut().find(|(file, _)| *file == extent.file) {
            Some((_, least)) => *least = (*least).max(extent.least),
            None => needed.push((extent.file, extent.least)),
        }
    }
    let mut missing = Vec::new();
    let mut warnings = Vec::new();
    for (file, least) in needed {
        let found = folder.stat(&file).optional().map_err(|error| {
            error.context(format!("the VMDK descriptor {descriptor} names \"{file}\""))
        })?;
        match (found.map(|found| found.size), least) {
            (None, _) => missing.push(file),
            (Some(size), Some(least)) if size < least => {
                return Err(Error::corrupt(format!(
                    "the VMDK {descriptor} needs {least} bytes of {file}, which has {size}"
                ))
                .with_hint("the file was probably not copied completely"));
            }
            (Some(size), Some(least)) if size > least => warnings.push(format!(
                "{file} has {size} bytes, of which the VMDK {descriptor} uses {least}; the rest \
                 is ignored"
            )),
            _ => {}
        }
    }
    if missing.is_empty() {
        return Ok(warnings);
    }
    let more = missing.len().saturating_sub(NAMED);
    missing.truncate(NAMED);
    let mut list = missing.join(", ");
    if more > 0 {
        list.push_str(&format!(" and {more} more"));
    }
    Err(Error::not_found(format!(
        "the VMDK {descriptor} is made of files that are not in its folder: {list}"
    ))
    .with_hint("copy them beside the descriptor, under the names that it gives them"))
}
