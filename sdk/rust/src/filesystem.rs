//! The filesystem kind: the trait that an author implements, and the block devices it
//! stands on.
//!
//! An instance is a session: `probe`, then `mount`, then the rest. The export macro keeps
//! the mounted file system between calls, so that an author writes an ordinary struct.

use std::sync::Arc;

use crate::{
    context::Context,
    error::Result,
    types::{Attributes, Metadata, Page, Space},
};

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Length in bytes.
    pub size: u64,
    /// Bytes that the medium writes at once.
    pub block_size: u32,
    /// Whether writes are refused (`denied`).
    pub read_only: bool,
}

/// What a range of a device holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtentKind {
    /// Bytes that must be read.
    Data,
    /// Reads as zeros; the image says so.
    Zero,
    /// Never written; reads as zeros.
    Hole,
}

/// A range of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub offset: u64,
    /// Number of bytes, never 0.
    pub length: u64,
    /// What it holds.
    pub kind: ExtentKind,
}

/// A block device. Offsets and lengths are bytes and need no alignment; a range beyond the
/// device's end is `invalid`. Any length may be asked for: calls of the host are split.
pub trait BlockDevice: Send + Sync {
    /// Size and kind.
    fn info(&self) -> Result<DeviceInfo>;
    /// Fills the buffer from `offset`.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;
    /// Writes all bytes at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;
    /// Returns when all earlier writes are as safe as the device can make them.
    fn flush(&self) -> Result<()>;
    /// What the range holds, ascending and without gaps; the last may end before the range
    /// does.
    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>>;
}

/// What a file-system plugin works with.
#[derive(Clone)]
pub struct Session {
    /// The devices, in the host's order.
    pub devices: Vec<Arc<dyn BlockDevice>>,
    /// The call that is going on, and the settings.
    pub context: Arc<dyn Context + Send + Sync>,
}

impl Session {
    /// The first device, which is all that most file systems have.
    pub fn device(&self) -> Result<Arc<dyn BlockDevice>> {
        let first = self.devices.first().cloned();
        first.ok_or_else(|| crate::Error::invalid("the file system was given no device"))
    }
}

/// What the devices hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name that `blkid` and fstab use (`ext4`).
    pub kind: String,
    /// UUID in the file system's own notation.
    pub uuid: Option<String>,
    /// Label; none where empty.
    pub label: Option<String>,
    /// False when the file system was not unmounted cleanly (a journal to replay).
    pub clean: bool,
}

/// What mounting did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountReport {
    /// Whether a journal was replayed onto the devices.
    pub replayed: bool,
    /// What a person should know of it, a sentence each.
    pub notes: Vec<String>,
}

/// Makes files of block devices. Exported with [`crate::export_filesystem!`].
///
/// Paths are resolved without following links: the host does that, so a link in the middle
/// of a path is `invalid`. Nothing that was written counts before `commit` returned.
pub trait FileSystem: Sized + 'static {
    /// Says what the devices hold; none when it is not this plugin's file system. Writes
    /// nothing. Damage that makes it unmountable is an error of `mount`.
    fn probe(session: &Session) -> Result<Option<Identity>>;
    /// Mounts. `writable` false still may replay a journal where the devices take writes;
    /// where they do not and the journal is needed, the error is `denied`. An unknown
    /// feature that writing needs is `unsupported` (with `writable` only).
    fn mount(session: Session, writable: bool) -> Result<(Self, MountReport)>;

    /// Metadata of a path.
    fn stat(&mut self, path: &str) -> Result<Metadata>;
    /// Up to `limit` entries; `cursor` is empty to begin, then what `next` said.
    fn list_directory(&mut self, path: &str, cursor: &str, limit: u32) -> Result<Page>;
    /// Up to `length` bytes (at most 4 MiB) of a regular file; fewer at its end.
    fn read_at(&mut self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>>;
    /// Target of a symbolic link.
    fn read_link(&mut self, path: &str) -> Result<String>;
    /// Names of the extended attributes (`security.selinux`).
    fn list_xattrs(&mut self, path: &str) -> Result<Vec<String>>;
    /// One extended attribute, `not-found` where there is none.
    fn get_xattr(&mut self, path: &str, name: &str) -> Result<Vec<u8>>;
    /// Room left.
    fn free_space(&mut self) -> Result<Space>;

    /// A new empty regular file; `exists` where the name is taken.
    fn create(&mut self, path: &str, attributes: &Attributes) -> Result<()>;
    /// Writes all bytes (at most 4 MiB), growing the file where needed.
    fn write_at(&mut self, path: &str, offset: u64, bytes: &[u8]) -> Result<()>;
    /// Cuts or extends with zeros.
    fn truncate(&mut self, path: &str, size: u64) -> Result<()>;
    /// A new name; a regular file or link at the new name is replaced.
    fn rename(&mut self, from: &str, to: &str) -> Result<()>;
    /// One more name for a regular file.
    fn link(&mut self, existing: &str, path: &str) -> Result<()>;
    /// A new symbolic link.
    fn symlink(&mut self, path: &str, target: &str, attributes: &Attributes) -> Result<()>;
    /// A new directory.
    fn make_directory(&mut self, path: &str, attributes: &Attributes) -> Result<()>;
    /// Removes a file, a link or an empty directory (`conflict` where it is not empty).
    fn remove(&mut self, path: &str) -> Result<()>;
    /// Permission bits, owner and group.
    fn set_attributes(&mut self, path: &str, mode: u32, owner: u32, group: u32) -> Result<()>;
    /// Sets an extended attribute; none removes it.
    fn set_xattr(&mut self, path: &str, name: &str, value: Option<&[u8]>) -> Result<()>;
    /// Makes everything written count, and leaves the file system clean. Idempotent.
    fn commit(&mut self) -> Result<()>;
}

/// Makes a [`FileSystem`] the export of this component. Natively it only checks the type.
#[cfg(feature = "filesystem")]
#[macro_export]
macro_rules! export_filesystem {
    ($filesystem:ty) => {
        #[cfg(target_family = "wasm")]
        mod cofferdam_export {
            use super::*;

            std::thread_local! {
                static MOUNTED: std::cell::RefCell<Option<$filesystem>> =
                    const { std::cell::RefCell::new(None) };
            }

            pub struct Component;

            impl $crate::filesystem::Mounted for Component {
                type FileSystem = $filesystem;
                fn with<R>(use_it: impl FnOnce(&mut Option<$filesystem>) -> R) -> R {
                    MOUNTED.with_borrow_mut(use_it)
                }
            }

            type Exported = $crate::filesystem::Exported<Component>;
            $crate::bindings::filesystem::export!(
                Exported with_types_in $crate::bindings::filesystem
            );
        }
        #[cfg(not(target_family = "wasm"))]
        const _: fn(
            &$crate::filesystem::Session,
        ) -> $crate::Result<Option<$crate::filesystem::Identity>> =
            <$filesystem as $crate::filesystem::FileSystem>::probe;
    };
}

#[cfg(feature = "filesystem")]
pub use host::{Exported, Mounted};

#[cfg(feature = "filesystem")]
mod host {
    use std::{marker::PhantomData, sync::Arc};

    use super::{BlockDevice, DeviceInfo, Extent, ExtentKind, FileSystem, Session};
    use crate::{
        bindings::filesystem::{
            cofferdam::{disk::devices, reply::reply},
            exports::cofferdam::plugin::file_tree,
        },
        context::host_context,
        error::{Error, Result},
        types::{Attributes, Metadata, Page, Space},
    };

    /// The most that one call of the host moves.
    const CALL: usize = 4 << 20;

    /// A device of the host, by number.
    struct HostDevice(u32);

    impl BlockDevice for HostDevice {
        fn info(&self) -> Result<DeviceInfo> {
            let info = devices::info(self.0)?;
            Ok(DeviceInfo {
                size: info.size,
                block_size: info.block_size,
                read_only: info.read_only,
            })
        }

        fn read_at(&self, mut offset: u64, buffer: &mut [u8]) -> Result<()> {
            for piece in buffer.chunks_mut(CALL) {
                let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
                let bytes = devices::read_at(self.0, offset, length)?;
                if bytes.len() != piece.len() {
                    return Err(Error::other("the host returned another length than asked"));
                }
                piece.copy_from_slice(&bytes);
                offset += u64::from(length);
            }
            Ok(())
        }

        fn write_at(&self, mut offset: u64, bytes: &[u8]) -> Result<()> {
            for piece in bytes.chunks(CALL) {
                devices::write_at(self.0, offset, piece)?;
                offset += piece.len() as u64;
            }
            Ok(())
        }

        fn flush(&self) -> Result<()> {
            devices::flush(self.0)
        }

        fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
            let extents = devices::extents(self.0, offset, length)?.into_iter();
            Ok(extents
                .map(|extent| Extent {
                    offset: extent.offset,
                    length: extent.length,
                    kind: match extent.kind {
                        devices::ExtentKind::Data => ExtentKind::Data,
                        devices::ExtentKind::Zero => ExtentKind::Zero,
                        devices::ExtentKind::Hole => ExtentKind::Hole,
                    },
                })
                .collect())
        }
    }

    /// The call that is going on.
    struct HostContext;

    host_context!(HostContext, crate::bindings::filesystem);

    fn session() -> Session {
        let device = |number| Arc::new(HostDevice(number)) as Arc<dyn BlockDevice>;
        Session {
            devices: (0..devices::count()).map(device).collect(),
            context: Arc::new(HostContext),
        }
    }

    /// Where the export macro keeps what is mounted.
    #[doc(hidden)]
    pub trait Mounted {
        type FileSystem: FileSystem;
        fn with<R>(use_it: impl FnOnce(&mut Option<Self::FileSystem>) -> R) -> R;
    }

    /// Joins an author's type to the generated export.
    #[doc(hidden)]
    pub struct Exported<M>(PhantomData<M>);

    impl<M: Mounted> Exported<M> {
        fn call<R>(use_it: impl FnOnce(&mut M::FileSystem) -> Result<R>) -> Result<R> {
            M::with(|mounted| match mounted {
                Some(filesystem) => use_it(filesystem),
                None => Err(Error::conflict("the file system is not mounted")),
            })
        }
    }

    impl<M: Mounted> file_tree::Guest for Exported<M> {
        fn probe() -> Result<Option<file_tree::Identity>, Error> {
            let identity = M::FileSystem::probe(&session())?;
            Ok(identity.map(|identity| file_tree::Identity {
                kind: identity.kind,
                uuid: identity.uuid,
                label: identity.label,
                clean: identity.clean,
            }))
        }
        fn mount(writable: bool) -> Result<file_tree::MountReport, Error> {
            M::with(|mounted| {
                if mounted.is_some() {
                    return Err(Error::conflict("the file system is mounted already"));
                }
                let (filesystem, report) = M::FileSystem::mount(session(), writable)?;
                *mounted = Some(filesystem);
                Ok(file_tree::MountReport {
                    replayed: report.replayed,
                    notes: report.notes,
                })
            })
        }
        fn stat(path: String) -> Result<Metadata, Error> {
            Self::call(|filesystem| filesystem.stat(&path))
        }
        fn list_directory(path: String, cursor: String, limit: u32) -> Result<Page, Error> {
            Self::call(|filesystem| filesystem.list_directory(&path, &cursor, limit))
        }
        fn read_at(path: String, offset: u64, length: u32) -> Result<(), Error> {
            let bytes = Self::call(|filesystem| filesystem.read_at(&path, offset, length))?;
            reply::put(&bytes);
            Ok(())
        }
        fn read_link(path: String) -> Result<String, Error> {
            Self::call(|filesystem| filesystem.read_link(&path))
        }
        fn list_xattrs(path: String) -> Result<Vec<String>, Error> {
            Self::call(|filesystem| filesystem.list_xattrs(&path))
        }
        fn get_xattr(path: String, name: String) -> Result<Vec<u8>, Error> {
            Self::call(|filesystem| filesystem.get_xattr(&path, &name))
        }
        fn free_space() -> Result<Space, Error> {
            Self::call(FileSystem::free_space)
        }
        fn create(path: String, attributes: Attributes) -> Result<(), Error> {
            Self::call(|filesystem| filesystem.create(&path, &attributes))
        }
        fn write_at(path: String, offset: u64, bytes: Vec<u8>) -> Result<(), Error> {
            Self::call(|filesystem| filesystem.write_at(&path, offset, &bytes))
        }
        fn truncate(path: String, size: u64) -> Result<(), Error> {
            Self::call(|filesystem| filesystem.truncate(&path, size))
        }
        fn rename(from: String, to: String) -> Result<(), Error> {
            Self::call(|filesystem| filesystem.rename(&from, &to))
        }
        fn link(existing: String, path: String) -> Result<(), Error> {
            Self::call(|filesystem| filesystem.link(&existing, &path))
        }
        fn symlink(path: String, target: String, attributes: Attributes) -> Result<(), Error> {
            Self::call(|filesystem| filesystem.symlink(&path, &target, &attributes))
        }
        fn make_directory(path: String, attributes: Attributes) -> Result<(), Error> {
            Self::call(|filesystem| filesystem.make_directory(&path, &attributes))
        }
        fn remove(path: String) -> Result<(), Error> {
            Self::call(|filesystem| filesystem.remove(&path))
        }
        fn set_attributes(path: String, mode: u32, owner: u32, group: u32) -> Result<(), Error> {
            Self::call(|filesystem| filesystem.set_attributes(&path, mode, owner, group))
        }
        fn set_xattr(path: String, name: String, value: Option<Vec<u8>>) -> Result<(), Error> {
            Self::call(|filesystem| filesystem.set_xattr(&path, &name, value.as_deref()))
        }
        fn commit() -> Result<(), Error> {
            Self::call(FileSystem::commit)
        }
    }
}
