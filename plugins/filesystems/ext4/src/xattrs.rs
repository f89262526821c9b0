//! Extended attributes, in the inode and in its attribute block.

use cofferdam_sdk::{Error, Result};
use fs_ext4::Filesystem;
use fs_ext4::fs::TIME_OMIT;
use fs_ext4::xattr;

use crate::block_mapped::refresh;
use crate::bytes::u16_at;
use crate::error::{Doing, contract};
use crate::stage::Stage;
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
pub fn set(volume: &mut Filesystem, text: &str, name: &str, value: Option<&[u8]>) -> Result<()> {
    let short = NAMESPACES.iter().find_map(|space| name.strip_prefix(space));
    let well_formed = short.is_some_and(|short| {
        !short.is_empty() && short.len() <= LONGEST_NAME && !short.contains('\0')
    });
    if !well_formed && !acl::is_acl(name) {
        return Err(Error::invalid(format!(
            "{name:?} is no name of an extended attribute that can be set"
        )));
    }
    let list = match value.filter(|_| acl::is_acl(name)) {
        Some(value) => Some(acl::to_disk(value)?),
        None => None,
    };
    let value = list.as_deref().or(value);
    let names = lookup::components(text)?;
    let (number, before) = lookup::stat(volume, text)?;
    // The crate takes the path of this one operation as text only.
    let path: Vec<u8> = names
        .iter()
        .flat_map(|name| std::iter::once(b'/').chain(name.iter().copied()))
        .collect();
    let doing = || format!("the extended attribute {name} of {text} cannot be set");
    let Ok(path) = String::from_utf8(path) else {
        return set_in_inode(volume, number, name, value).doing(doing);
    };
    let path = if path.is_empty() { "/" } else { &path };
    match value {
        Some(value) => volume.apply_setxattr(path, name, value).doing(doing)?,
        None => volume.apply_removexattr(path, name).doing(doing)?,
    }
    // The crate leaves the inode's time of change where the attribute is in the inode;
    // setting the time of access to what it was changes it.
    volume
        .apply_utimens_ino(number, before.atime, before.atime_nsec, TIME_OMIT, 0)
        .doing(doing)
}

/// `i_extra_isize`, behind which the attributes in the inode are.
const EXTRA_SIZE: usize = 0x80;

/// Sets or removes an attribute of an inode that cannot be named as text, where it has its
/// attributes, and room for them, in itself.
fn set_in_inode(
    volume: &mut Filesystem,
    number: u32,
    name: &str,
    value: Option<&[u8]>,
) -> Result<()> {
    let elsewhere = || {
        Error::unsupported(
            "the path is not UTF-8, and the attribute is not, or would not fit, in the inode",
        )
    };
    let (inode, raw) = volume.read_inode_verified(number).map_err(contract)?;
    let extra = if raw.len() > EXTRA_SIZE {
        usize::from(u16_at(&raw, EXTRA_SIZE)?)
    } else {
        0
    };
    if inode.file_acl != 0 || inode.has_inline_data() || extra == 0 {
        return Err(elsewhere());
    }
    let mut stage = Stage::new(volume);
    let mut raw = stage.inode(number)?;
    let region = raw
        .get_mut(EXTRA_SIZE + extra..)
        .filter(|region| region.len() >= 8)
        .ok_or_else(elsewhere)?;
    match value {
        Some(value) => match xattr::plan_set_in_inode_region(region, name, value) {
            Err(fs_ext4::Error::NoSpaceLeftOnDevice) => return Err(elsewhere()),
            planned => planned.map(|_| ()).map_err(contract)?,
        },
        None => {
            let removed = xattr::plan_remove_in_inode_region(region, name).map_err(contract)?;
            if removed != xattr::RemoveOutcome::Removed {
                return Err(Error::not_found("there is no such attribute"));
            }
        }
    }
    stage.put_inode(number, raw)?;
    stage.write(volume.dev.as_ref())?;
    refresh(volume)?;
    volume
        .apply_utimens_ino(number, inode.atime, inode.atime_nsec, TIME_OMIT, 0)
        .map_err(contract)
}
