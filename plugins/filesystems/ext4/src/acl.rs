//! POSIX access control lists: the disk's short form and the one that `getxattr` speaks.
//!
//! On disk (`ext4_acl_header`, version 1) the entries of user, group, mask and others have
//! no id; Linux's `system.posix_acl_*` attributes (version 2) give every entry one. What a
//! tool reads or writes is the second, so the plugin converts, as the kernel does
//! (<https://docs.kernel.org/filesystems/ext4/attributes.html>, `linux/posix_acl_xattr.h`).

use cofferdam_sdk::{Error, Result};

use crate::bytes::{u16_at, u32_at};

const DISK_VERSION: u32 = 1;
const LINUX_VERSION: u32 = 2;
/// `ACL_USER` and `ACL_GROUP`: the entries that have an id on disk.
const WITH_ID: [u16; 2] = [0x02, 0x08];
/// All tags: user-obj, user, group-obj, group, mask, other.
const TAGS: [u16; 6] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20];
/// `ACL_UNDEFINED_ID`.
const NO_ID: u32 = u32::MAX;

/// Whether the attribute is stored in the disk's form.
pub fn is_acl(name: &str) -> bool {
    matches!(name, "system.posix_acl_access" | "system.posix_acl_default")
}

struct Entry {
    tag: u16,
    permissions: u16,
    id: u32,
}

fn entries(bytes: &[u8], version: u32, broken: fn(String) -> Error) -> Result<Vec<Entry>> {
    let malformed = |what: &str| broken(format!("the access control list {what}"));
    if u32_at(bytes, 0).ok() != Some(version) {
        return Err(malformed("is of an unknown version"));
    }
    let mut found = Vec::new();
    let mut at = 4;
    while at < bytes.len() {
        let field = |offset: usize| {
            u16_at(bytes, at + offset).map_err(|_| malformed("ends inside an entry"))
        };
        let (tag, permissions) = (field(0)?, field(2)?);
        if !TAGS.contains(&tag) {
            return Err(malformed("has an entry of an unknown kind"));
        }
        let with_id = WITH_ID.contains(&tag);
        let mut id = NO_ID;
        at += 4;
        if with_id || version == LINUX_VERSION {
            let stored = u32_at(bytes, at).map_err(|_| malformed("ends inside an entry"))?;
            if with_id {
                id = stored;
            }
            at += 4;
        }
        found.push(Entry {
            tag,
            permissions,
            id,
        });
    }
    Ok(found)
}

fn encode(entries: &[Entry], version: u32) -> Vec<u8> {
    let mut bytes = version.to_le_bytes().to_vec();
    for entry in entries {
        bytes.extend_from_slice(&entry.tag.to_le_bytes());
        bytes.extend_from_slice(&entry.permissions.to_le_bytes());
        if version == LINUX_VERSION || WITH_ID.contains(&entry.tag) {
            bytes.extend_from_slice(&entry.id.to_le_bytes());
        }
    }
    bytes
}

/// What `getxattr` gives for what is on disk; `corrupt` where that is no list.
pub fn from_disk(bytes: &[u8]) -> Result<Vec<u8>> {
    Ok(encode(
        &entries(bytes, DISK_VERSION, Error::corrupt)?,
        LINUX_VERSION,
    ))
}

/// What is stored for what `setxattr` was given; `invalid` where that is no list.
pub fn to_disk(bytes: &[u8]) -> Result<Vec<u8>> {
    Ok(encode(
        &entries(bytes, LINUX_VERSION, Error::invalid)?,
        DISK_VERSION,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_sdk::ErrorCode;

    /// `setfacl -m u:1000:rw,g:27:r` on a file of mode 0644, as `getfattr` prints it.
    const LINUX: &str = "02000000\
        01000600ffffffff02000600e803000004000400ffffffff080004001b000000\
        10000600ffffffff20000400ffffffff";
    const DISK: &str = "01000000010006000200\
        0600e80300000400040008000400\
        1b0000001000060020000400";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn both_forms_say_the_same() {
        assert_eq!(to_disk(&bytes(LINUX)).unwrap(), bytes(DISK));
        assert_eq!(from_disk(&bytes(DISK)).unwrap(), bytes(LINUX));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let linux = bytes(LINUX);
        for length in [0, 3, 6, 9, linux.len() - 1] {
            assert_eq!(
                to_disk(&linux[..length]).unwrap_err().code,
                ErrorCode::Invalid
            );
        }
        assert_eq!(from_disk(&linux).unwrap_err().code, ErrorCode::Corrupt);
        assert!(to_disk(&[2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }
}
