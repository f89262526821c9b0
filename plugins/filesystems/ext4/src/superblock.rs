//! What a superblock says before anything is mounted: kind, identity, features.
//!
//! Field offsets: <https://docs.kernel.org/filesystems/ext4/super.html>. The rule that
//! tells ext2, ext3 and ext4 apart is libblkid's (util-linux,
//! `libblkid/src/superblocks/ext.c`): ext4 has a feature that ext3 does not know, ext3 has
//! a journal, ext2 has none.

use cofferdam_sdk::{Error, Result, path};
use fs_ext4::features::{Compat, Incompat, MAINTAINED_RO_COMPAT, RoCompat, SUPPORTED_INCOMPAT};

use crate::bytes::{slice, u16_at, u32_at};
use crate::error::Doing;
use crate::port::Disk;

/// Where the superblock is.
pub const OFFSET: u64 = 1024;
/// Its length.
pub const LENGTH: usize = 1024;
const MAGIC: u16 = 0xef53;
/// `s_state`: cleanly unmounted.
const VALID: u16 = 1;
/// `s_state`: the kernel found errors.
const ERRORS: u16 = 2;
/// `JOURNAL_DEV`: not a file system but a journal for one.
const JOURNAL_DEVICE: u32 = 0x8;

/// The fields that are looked at before mounting.
#[derive(Clone, Debug)]
pub struct Header {
    /// `s_feature_compat`.
    pub compat: u32,
    /// `s_feature_incompat`.
    pub incompat: u32,
    /// `s_feature_ro_compat`.
    pub ro_compat: u32,
    /// `s_state`.
    pub state: u16,
    /// `s_journal_inum`; 0 where the journal is on another device.
    pub journal_inode: u32,
    /// `s_uuid`.
    pub uuid: [u8; 16],
    /// `s_volume_name` up to its NUL.
    pub label: Vec<u8>,
    /// `s_free_inodes_count`.
    pub free_inodes: u32,
}

impl Header {
    /// Reads the superblock; none where there is no ext signature or it is a journal
    /// device, which is not a file system.
    pub fn read(disk: &Disk) -> Result<Option<Self>> {
        if disk.size() < OFFSET + LENGTH as u64 {
            return Ok(None);
        }
        let mut raw = [0; LENGTH];
        disk.read(OFFSET, &mut raw)?;
        if u16_at(&raw, 0x38)? != MAGIC {
            return Ok(None);
        }
        let mut uuid = [0; 16];
        uuid.copy_from_slice(slice(&raw, 0x68, 16)?);
        let label = slice(&raw, 0x78, 16)?;
        let header = Self {
            compat: u32_at(&raw, 0x5c)?,
            incompat: u32_at(&raw, 0x60)?,
            ro_compat: u32_at(&raw, 0x64)?,
            state: u16_at(&raw, 0x3a)?,
            journal_inode: u32_at(&raw, 0xe0)?,
            uuid,
            label: label
                .iter()
                .copied()
                .take_while(|&byte| byte != 0)
                .collect(),
            free_inodes: u32_at(&raw, 0x10)?,
        };
        Ok((header.incompat & JOURNAL_DEVICE == 0).then_some(header))
    }

    /// The name that blkid gives it.
    pub fn kind(&self) -> &'static str {
        let ext3_incompat = Incompat::FILETYPE | Incompat::RECOVER | Incompat::META_BG;
        let ext3_ro_compat = RoCompat::SPARSE_SUPER | RoCompat::LARGE_FILE | RoCompat::BTREE_DIR;
        if self.incompat & !ext3_incompat.bits() != 0
            || self.ro_compat & !ext3_ro_compat.bits() != 0
        {
            "ext4"
        } else if self.compat & Compat::HAS_JOURNAL.bits() != 0 {
            "ext3"
        } else {
            "ext2"
        }
    }

    /// The UUID as blkid writes it; none where it is all zeros.
    pub fn uuid_text(&self) -> Option<String> {
        let mut text = String::with_capacity(36);
        for (at, byte) in self.uuid.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{byte:02x}"));
        }
        self.uuid.iter().any(|&byte| byte != 0).then_some(text)
    }

    /// The label, escaped; none where it is empty.
    pub fn label_text(&self) -> Option<String> {
        (!self.label.is_empty()).then(|| path::escape(&self.label))
    }

    /// Whether the journal must be replayed (`needs_recovery`).
    pub fn needs_recovery(&self) -> bool {
        self.incompat & Incompat::RECOVER.bits() != 0
    }

    /// Whether the orphan file may name inodes (`orphan_present`).
    pub fn orphans_present(&self) -> bool {
        self.ro_compat & RoCompat::ORPHAN_PRESENT.bits() != 0
    }

    /// Whether the kernel recorded errors in it.
    pub fn has_errors(&self) -> bool {
        self.state & ERRORS != 0
    }

    /// Whether the last unmount set the mark of a clean one.
    pub fn marked_clean(&self) -> bool {
        self.state & VALID != 0
    }

    /// Whether it was unmounted cleanly and nothing has to be recovered.
    pub fn is_clean(&self) -> bool {
        self.marked_clean()
            && !self.has_errors()
            && !self.needs_recovery()
            && !self.orphans_present()
    }

    /// `unsupported` where it has features that reading, or with `writable` writing,
    /// would have to know.
    pub fn check_features(&self, writable: bool) -> Result<()> {
        let unknown = self.incompat & !SUPPORTED_INCOMPAT;
        if unknown != 0 {
            return Err(Error::unsupported(format!(
                "the {} file system has features that this plugin cannot read: {}",
                self.kind(),
                names(INCOMPAT_NAMES, unknown)
            )));
        }
        let unwritable = self.incompat & fs_ext4::features::WRITE_BREAKING_INCOMPAT;
        // The orphan file is emptied before anything else is written.
        let maintained = MAINTAINED_RO_COMPAT | RoCompat::ORPHAN_PRESENT.bits();
        let unmaintained = self.ro_compat & !maintained;
        if writable && (unwritable != 0 || unmaintained != 0) {
            let mut features = Vec::new();
            if unwritable != 0 {
                features.push(names(INCOMPAT_NAMES, unwritable));
            }
            if unmaintained != 0 {
                features.push(names(RO_COMPAT_NAMES, unmaintained));
            }
            return Err(Error::unsupported(format!(
                "the {} file system has features that this plugin can read but not write: {}",
                self.kind(),
                features.join(", ")
            ))
            .with_hint("it can be mounted read-only"));
        }
        Ok(())
    }
}

/// Refuses a geometry that contradicts itself or that the device cannot hold, before
/// anything is allocated for it: the checks of the kernel's `ext4_check_geometry` that the
/// crate does not make.
pub fn check_geometry(disk: &Disk) -> Result<()> {
    let mut raw = vec![0; LENGTH];
    disk.read(OFFSET, &mut raw)?;
    let doing = || "the superblock is broken".to_string();
    let parsed = fs_ext4::Superblock::parse(raw).doing(doing)?;
    parsed.check_fits_device(disk.size()).doing(doing)?;
    let broken = |what: &str| Err(Error::corrupt(format!("the superblock is broken: {what}")));
    let bits = u64::from(parsed.block_size()) * 8;
    if u64::from(parsed.first_data_block) >= parsed.blocks_count {
        return broken("its first block is beyond its last");
    }
    if u64::from(parsed.inodes_per_group) > bits {
        return broken("a group has more inodes than its bitmap has bits");
    }
    let clusters = parsed.feature_ro_compat & RoCompat::BIGALLOC.bits() != 0;
    if !clusters && u64::from(parsed.blocks_per_group) > bits {
        return broken("a group has more blocks than its bitmap has bits");
    }
    let inodes = parsed
        .block_group_count()
        .saturating_mul(u64::from(parsed.inodes_per_group));
    if u64::from(parsed.inodes_count) != inodes {
        return broken("it does not have as many inodes as its groups");
    }
    if parsed.journal_inode > parsed.inodes_count {
        return broken("its journal is in an inode that there cannot be");
    }
    Ok(())
}

/// The names that `dumpe2fs` prints.
const INCOMPAT_NAMES: &[(u32, &str)] = &[
    (0x1, "compression"),
    (0x2, "filetype"),
    (0x4, "needs_recovery"),
    (0x8, "journal_dev"),
    (0x10, "meta_bg"),
    (0x40, "extent"),
    (0x80, "64bit"),
    (0x100, "mmp"),
    (0x200, "flex_bg"),
    (0x400, "ea_inode"),
    (0x1000, "dirdata"),
    (0x2000, "metadata_csum_seed"),
    (0x4000, "large_dir"),
    (0x8000, "inline_data"),
    (0x10000, "encrypt"),
    (0x20000, "casefold"),
];

const RO_COMPAT_NAMES: &[(u32, &str)] = &[
    (0x1, "sparse_super"),
    (0x2, "large_file"),
    (0x8, "huge_file"),
    (0x10, "uninit_bg"),
    (0x20, "dir_nlink"),
    (0x40, "extra_isize"),
    (0x80, "snapshot"),
    (0x100, "quota"),
    (0x200, "bigalloc"),
    (0x400, "metadata_csum"),
    (0x800, "replica"),
    (0x1000, "read-only"),
    (0x2000, "project"),
    (0x4000, "shared_blocks"),
    (0x8000, "verity"),
    (0x10000, "orphan_present"),
];

fn names(known: &[(u32, &str)], bits: u32) -> String {
    let mut rest = bits;
    let mut found = Vec::new();
    for &(bit, name) in known {
        if bits & bit != 0 {
            found.push(name.to_string());
            rest &= !bit;
        }
    }
    if rest != 0 {
        found.push(format!("{rest:#x}"));
    }
    found.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_sdk::ErrorCode;

    fn header(compat: u32, incompat: u32, ro_compat: u32) -> Header {
        Header {
            compat,
            incompat,
            ro_compat,
            state: VALID,
            journal_inode: 8,
            uuid: [0; 16],
            label: Vec::new(),
            free_inodes: 0,
        }
    }

    #[test]
    fn kinds_are_blkids() {
        let cases = [
            (0x38, 0x2, 0x3, "ext2"),
            (0x3c, 0x2, 0x3, "ext3"),
            (0x3c, 0x6, 0x3, "ext3"),
            (0x3c, 0x42, 0x3, "ext4"),
            (0x38, 0x2, 0x7b, "ext4"),
            (0x38, 0x2c2, 0x46b, "ext4"),
        ];
        for (compat, incompat, ro_compat, kind) in cases {
            assert_eq!(header(compat, incompat, ro_compat).kind(), kind);
        }
    }

    #[test]
    fn features_are_refused_by_name() {
        let ro = header(0, 0x2, 0x100 | 0x4000_0000);
        ro.check_features(false).unwrap();
        let error = ro.check_features(true).unwrap_err();
        assert_eq!(error.code, ErrorCode::Unsupported);
        assert!(error.message.contains("quota, 0x40000000"), "{error}");
        let incompat = header(0, 0x1002, 0);
        for writable in [false, true] {
            let error = incompat.check_features(writable).unwrap_err();
            assert!(error.message.ends_with(": dirdata"), "{error}");
        }
        let casefold = header(0, 0x2_0002, 0);
        casefold.check_features(false).unwrap();
        assert!(casefold.check_features(true).is_err());
    }

    #[test]
    fn the_uuid_is_written_as_blkid_writes_it() {
        let mut one = header(0, 0, 0);
        assert_eq!(one.uuid_text(), None);
        for (at, byte) in one.uuid.iter_mut().enumerate() {
            *byte = 0xf0 + u8::try_from(at).unwrap();
        }
        assert_eq!(
            one.uuid_text().unwrap(),
            "f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff"
        );
    }
}
