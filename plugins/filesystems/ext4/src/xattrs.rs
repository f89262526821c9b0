//! Extended attributes, in the inode and in its attribute block.

use cofferdam_sdk::{Error, Result};
use fs_ext4::Filesystem;
use fs_ext4::xattr;

use crate::error::Doing;
use crate::{acl, lookup};

/// Where inline data is kept: an attribute on disk, and none to a user.
const INLINE_DATA: &str = "system.data";
/// The namespaces that can be set; of `system`, the access control lists only.
const NAMESPACES: [&str; 3] = ["user.", "trusted.", "security."];
/// The longest name after its namespace (`e_name_len` is one byte).
const LONGEST_NAME: usize = 255;

/// The names of a path's attributes.
pub fn list(volume: &Filesystem, text: &str) -> Result<Vec<String>> {
    let (_, inode, raw) = lookup::raw(volume, text)?;
    let names = xattr::list_names(volume, &inode, &raw)
        .doing(|| format!("the extended attributes of {text} cannot be read"))?;
    let visible = names.into_iter().filter(|name| name != INLINE_DATA);
    Ok(visible.collect())
}

/// One attribute.
pub fn get(volume: &Filesystem, text: &str, name: &str) -> Result<Vec<u8>> {
    let (_, inode, raw) = lookup::raw(volume, text)?;
    let doing = || format!("the extended attribute {name} of {text} cannot be read");
    let value = xattr::get_resolved(volume, &inode, &raw, name).doing(doing)?;
    match value.filter(|_| name != INLINE_DATA) {
        Some(value) if acl::is_acl(name) => acl::from_disk(&value).doing(doing),
        Some(value) => Ok(value),
        None => Err(Error::not_found(format!(
            "{text} has no extended attribute {name}"
        ))),
    }
}

/// Sets an attribute, or removes it.
pub fn set(volume: &Filesystem, text: &str, name: &str, value: Option<&[u8]>) -> Result<()> {
    let short = NAMESPACES.iter().find_map(|space| name.strip_prefix(space));
    let well_formed = short.is_some_and(|short| {
        !short.is_empty() && short.len() <= LONGEST_NAME && !short.contains('\0')
    });
    if !well_formed && !acl::is_acl(name) {
        return Err(Error::invalid(format!(
            "{name:?} is no name of an extended attribute that can be set"
        )));
    }
    let names = lookup::components(text)?;
    let (number, before) = lookup::stat(volume, text)?;
    // The crate takes the path of this one operation as text only.
    let path: Vec<u8> = names
        .iter()
        .flat_map(|name| std::iter::once(b'/').chain(name.iter().copied()))
        .collect();
    let path = String::from_utf8(path).map_err(|_| {
        Error::unsupported(format!(
            "extended attributes of {text} cannot be set because its path is not UTF-8"
        ))
    })?;
    let path = if path.is_empty() { "/" } else { &path };
    let doing = || format!("the extended attribute {name} of {text} cannot be set");
    match value {
        Some(value) if acl::is_acl(name) => {
            let value = acl::to_disk(value).doing(doing)?;
            volume.apply_setxattr(path, name, &value).doing(doing)?;
        }
        Some(value) => volume.apply_setxattr(path, name, value).doing(doing)?,
        None => volume.apply_removexattr(path, name).doing(doing)?,
    }
    // The crate leaves the inode's time of change where the attribute is in the inode;
    // setting the time of access to what it was changes it.
    volume
        .apply_utimens_ino(
            number,
            before.atime,
            before.atime_nsec,
            fs_ext4::fs::TIME_OMIT,
            0,
        )
        .doing(doing)
}
