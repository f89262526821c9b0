//! The fixer kind: the trait that an author implements, and what joins it to the host.

use crate::{error::Result, guest::Guest};

/// Plans edits that make a guest run on its target. Exported with [`crate::export_fixer!`].
pub trait Fixer {
    /// Looks at the guest and records edits. Run on a guest that has them already, it must
    /// record none: the host checks. A guest it has no business with is no error.
    fn fix(guest: &mut dyn Guest) -> Result<()>;
}

/// Makes a [`Fixer`] the export of this component. Natively it only checks the type.
#[cfg(feature = "fixer")]
#[macro_export]
macro_rules! export_fixer {
    ($fixer:ty) => {
        #[cfg(target_family = "wasm")]
        mod cofferdam_export {
            use super::*;
            type Component = $crate::fixer::Exported<$fixer>;
            $crate::bindings::fixer::export!(Component with_types_in $crate::bindings::fixer);
        }
        #[cfg(not(target_family = "wasm"))]
        const _: fn(&mut dyn $crate::Guest) -> $crate::Result<()> =
            <$fixer as $crate::fixer::Fixer>::fix;
    };
}

#[cfg(feature = "fixer")]
pub use host::Exported;

#[cfg(feature = "fixer")]
mod host {
    use std::marker::PhantomData;

    use super::Fixer;
    use crate::{
        bindings::fixer::{
            self as bindings,
            cofferdam::guest::{edits, facts, view},
        },
        context::host_context,
        error::{Error, Result},
        guest::Guest,
        tree::FileTree,
        types::{
            Attributes, BlockDevice, Kernel, Metadata, MountPoint, Nic, OperatingSystem, Page,
            Severity, Space, TargetMachine,
        },
    };

    /// Joins an author's type to the generated export.
    #[doc(hidden)]
    pub struct Exported<T>(PhantomData<T>);

    impl<T: Fixer> bindings::exports::cofferdam::plugin::fixing::Guest for Exported<T> {
        fn fix() -> Result<(), Error> {
            T::fix(&mut HostGuest)
        }
    }

    /// The guest that the host shows.
    struct HostGuest;

    host_context!(HostGuest, crate::bindings::fixer);

    impl FileTree for HostGuest {
        fn stat(&self, path: &str, follow: bool) -> Result<Metadata> {
            view::stat(path, follow)
        }
        fn list_directory(&self, path: &str, cursor: &str, limit: u32) -> Result<Page> {
            view::list_directory(path, cursor, limit)
        }
        fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>> {
            view::read_at(path, offset, length)
        }
        fn read_link(&self, path: &str) -> Result<String> {
            view::read_link(path)
        }
    }

    impl Guest for HostGuest {
        fn list_xattrs(&self, path: &str) -> Result<Vec<String>> {
            view::list_xattrs(path)
        }
        fn get_xattr(&self, path: &str, name: &str) -> Result<Vec<u8>> {
            view::get_xattr(path, name)
        }
        fn free_space(&self, path: &str) -> Result<Space> {
            view::free_space(path)
        }

        fn os(&self) -> OperatingSystem {
            facts::os()
        }
        fn devices(&self) -> Vec<BlockDevice> {
            facts::devices()
        }
        fn mounts(&self) -> Vec<MountPoint> {
            facts::mounts()
        }
        fn kernels(&self) -> Vec<Kernel> {
            facts::kernels()
        }
        fn nics(&self) -> Vec<Nic> {
            let nics = facts::nics().into_iter();
            nics.map(|facts::Nic { mac, model }| Nic { mac, model })
                .collect()
        }
        fn firmware(&self) -> String {
            facts::firmware()
        }
        fn target(&self) -> TargetMachine {
            let facts::TargetMachine {
                disk_bus,
                nic_model,
            } = facts::target();
            TargetMachine {
                disk_bus,
                nic_model,
            }
        }
        fn fact(&self, key: &str) -> Option<String> {
            facts::get(key)
        }

        fn write(&mut self, path: &str, content: &[u8], reason: &str) -> Result<()> {
            edits::write(path, content, reason)
        }
        fn create(
            &mut self,
            path: &str,
            content: &[u8],
            attributes: &Attributes,
            reason: &str,
        ) -> Result<()> {
            edits::create(path, content, attributes, reason)
        }
        fn append(&mut self, path: &str, content: &[u8], reason: &str) -> Result<()> {
            edits::append(path, content, reason)
        }
        fn patch(&mut self, path: &str, offset: u64, content: &[u8], reason: &str) -> Result<()> {
            edits::patch(path, offset, content, reason)
        }
        fn copy(&mut self, from: &str, to: &str, reason: &str) -> Result<()> {
            edits::copy(from, to, reason)
        }
        fn make_directory(
            &mut self,
            path: &str,
            attributes: &Attributes,
            reason: &str,
        ) -> Result<()> {
            edits::make_directory(path, attributes, reason)
        }
        fn rename(&mut self, from: &str, to: &str, reason: &str) -> Result<()> {
            edits::rename(from, to, reason)
        }
        fn remove(&mut self, path: &str, reason: &str) -> Result<()> {
            edits::remove(path, reason)
        }
        fn symlink(
            &mut self,
            path: &str,
            target: &str,
            attributes: &Attributes,
            reason: &str,
        ) -> Result<()> {
            edits::symlink(path, target, attributes, reason)
        }
        fn link(&mut self, existing: &str, path: &str, reason: &str) -> Result<()> {
            edits::link(existing, path, reason)
        }
        fn set_mode(&mut self, path: &str, mode: u32, reason: &str) -> Result<()> {
            edits::set_mode(path, mode, reason)
        }
        fn set_owner(&mut self, path: &str, owner: u32, group: u32, reason: &str) -> Result<()> {
            edits::set_owner(path, owner, group, reason)
        }
        fn set_xattr(
            &mut self,
            path: &str,
            name: &str,
            value: Option<&[u8]>,
            reason: &str,
        ) -> Result<()> {
            edits::set_xattr(path, name, value, reason)
        }
        fn note(&mut self, severity: Severity, message: &str) -> Result<()> {
            edits::note(severity, message)
        }
    }
}
