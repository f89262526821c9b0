//! The ext4 plugin: ext2, ext3 and ext4 file systems as the contract's file tree.
//!
//! **Problem.** A guest's file system must be read and edited without its kernel, and its
//! structures may be hostile. The edits must leave what `e2fsck` calls clean.
//!
//! **Design.** The crate `rust-fs-ext4` is the driver: it parses, replays the journal and
//! makes every change a journaled transaction. This plugin gives it the host's device
//! ([`port`]), a clock and inode generations that do not trap ([`runtime`]), decides what
//! may be mounted ([`superblock`]), recovers what the crate does not ([`recovery`]), writes
//! files without extents, which the crate does not ([`block_mapped`] over [`stage`]), and
//! translates paths, records and errors.
//!
//! **Limits.** See the plugin's README: they are the crate's, less what is done here.

pub mod acl;
pub mod block_mapped;
pub mod bytes;
pub mod editing;
pub mod error;
pub mod lookup;
pub mod port;
pub mod reading;
pub mod recovery;
pub mod runtime;
pub mod stage;
pub mod superblock;
pub mod xattrs;

use cofferdam_sdk::filesystem::{FileSystem, Identity, MountReport, Session};
use cofferdam_sdk::types::{Attributes, Metadata, Page, Space};
use cofferdam_sdk::{Error, Result};
use fs_ext4::Filesystem;

use crate::editing::New;
use crate::error::Doing;
use crate::port::Disk;
use crate::superblock::Header;

/// A mounted ext2, ext3 or ext4 file system.
pub struct Ext4 {
    disk: Disk,
    writable: bool,
    /// None after a commit that failed: what is on the device is not known then.
    volume: Option<Filesystem>,
}

impl Ext4 {
    fn volume(&mut self) -> Result<&mut Filesystem> {
        self.volume.as_mut().ok_or_else(|| {
            Error::conflict(
                "an earlier commit failed, so that the file system must be mounted anew",
            )
        })
    }

    fn writer(&mut self) -> Result<&mut Filesystem> {
        if !self.writable {
            return Err(Error::denied("the file system is mounted read-only"));
        }
        self.volume()
    }
}

fn header(disk: &Disk) -> Result<Header> {
    Header::read(disk)?
        .ok_or_else(|| Error::invalid("the device holds no ext2, ext3 or ext4 file system"))
}

impl FileSystem for Ext4 {
    fn probe(session: &Session) -> Result<Option<Identity>> {
        let found = Header::read(&Disk::new(session)?)?;
        Ok(found.map(|header| Identity {
            kind: header.kind().to_string(),
            uuid: header.uuid_text(),
            label: header.label_text(),
            clean: header.is_clean(),
        }))
    }

    fn mount(session: Session, writable: bool) -> Result<(Self, MountReport)> {
        let disk = Disk::new(&session)?;
        let mut header = header(&disk)?;
        header.check_features(writable)?;
        if writable && disk.read_only() {
            return Err(Error::denied("the device takes no writes"));
        }
        superblock::check_geometry(&disk)?;
        let mut report = MountReport {
            replayed: recovery::replay(&disk, &header)?,
            notes: Vec::new(),
        };
        if report.replayed {
            report
                .notes
                .push("the journal was replayed: the guest was not shut down cleanly".to_string());
            header = self::header(&disk)?;
        }
        if writable && header.orphans_present() {
            let count = recovery::empty_orphan_file(&disk, &header)?;
            if count > 0 {
                report.notes.push(format!(
                    "{count} files that were deleted or cut while in use were put away"
                ));
            }
            header = self::header(&disk)?;
        }
        if header.has_errors() {
            report.notes.push(
                "the guest's kernel recorded errors in this file system; check it with e2fsck"
                    .to_string(),
            );
        } else if !header.marked_clean() {
            report.notes.push(
                "the file system was not unmounted cleanly and has no journal that would say \
                 what is missing; check it with e2fsck"
                    .to_string(),
            );
        }
        let volume = recovery::open(&disk, &header, writable)?;
        let mounted = Self {
            disk,
            writable,
            volume: Some(volume),
        };
        Ok((mounted, report))
    }

    fn stat(&mut self, path: &str) -> Result<Metadata> {
        reading::stat(self.volume()?, path)
    }

    fn list_directory(&mut self, path: &str, cursor: &str, limit: u32) -> Result<Page> {
        reading::list(self.volume()?, path, cursor, limit)
    }

    fn read_at(&mut self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>> {
        reading::read(self.volume()?, path, offset, length)
    }

    fn read_link(&mut self, path: &str) -> Result<String> {
        reading::read_link(self.volume()?, path)
    }

    fn list_xattrs(&mut self, path: &str) -> Result<Vec<String>> {
        xattrs::list(self.volume()?, path)
    }

    fn get_xattr(&mut self, path: &str, name: &str) -> Result<Vec<u8>> {
        xattrs::get(self.volume()?, path, name)
    }

    fn free_space(&mut self) -> Result<Space> {
        reading::space(self.volume()?)
    }

    fn create(&mut self, path: &str, attributes: &Attributes) -> Result<()> {
        editing::make(self.writer()?, path, &New::File, attributes)
    }

    fn write_at(&mut self, path: &str, offset: u64, bytes: &[u8]) -> Result<()> {
        editing::write(self.writer()?, path, offset, bytes)
    }

    fn truncate(&mut self, path: &str, size: u64) -> Result<()> {
        editing::truncate(self.writer()?, path, size)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        editing::rename(self.writer()?, from, to)
    }

    fn link(&mut self, existing: &str, path: &str) -> Result<()> {
        editing::link(self.writer()?, existing, path)
    }

    fn symlink(&mut self, path: &str, target: &str, attributes: &Attributes) -> Result<()> {
        editing::make(self.writer()?, path, &New::Symlink(target), attributes)
    }

    fn make_directory(&mut self, path: &str, attributes: &Attributes) -> Result<()> {
        editing::make(self.writer()?, path, &New::Directory, attributes)
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        editing::remove(self.writer()?, path)
    }

    fn set_attributes(&mut self, path: &str, mode: u32, owner: u32, group: u32) -> Result<()> {
        editing::set_attributes(self.writer()?, path, mode, owner, group)
    }

    fn set_xattr(&mut self, path: &str, name: &str, value: Option<&[u8]>) -> Result<()> {
        xattrs::set(self.writer()?, path, name, value)
    }

    fn commit(&mut self) -> Result<()> {
        if !self.writable {
            return self.disk.flush();
        }
        self.volume()?;
        if let Some(volume) = self.volume.take() {
            volume
                .finish()
                .doing(|| "the file system cannot be put away".to_string())?;
        }
        self.disk.flush()?;
        let header = header(&self.disk)?;
        self.volume = Some(recovery::open(&self.disk, &header, true)?);
        Ok(())
    }
}

cofferdam_sdk::export_filesystem!(Ext4);
