//! The inspector kind: the trait that an author implements, what it sees (every file
//! system on its own) and where it records what it found.

use serde::de::DeserializeOwned;

use crate::{
    context::Context,
    error::Result,
    tree::FileTree,
    types::{BlockDevice, Kernel, Metadata, MountPoint, OperatingSystem, Page, Severity, Tree},
};

/// Says which operating system a guest holds and how its file systems belong together.
/// Exported with [`crate::export_inspector!`].
pub trait Inspector {
    /// Looks at the trees and records what it finds. A guest that is not its kind gets no
    /// record and is no error.
    fn inspect(guest: &mut dyn Trees) -> Result<()>;
}

/// `trees` and `findings` of the contract. A later record of the same thing replaces an
/// earlier one.
pub trait Trees: Context {
    /// Every disk and partition, those that no plugin recognised too.
    fn devices(&self) -> Vec<BlockDevice>;
    /// Up to `length` bytes (at most 1 MiB) of a device; fewer at its end.
    fn read_device(&self, device: u32, offset: u64, length: u32) -> Result<Vec<u8>>;
    /// The file systems.
    fn trees(&self) -> Vec<Tree>;
    /// Metadata of a path of a tree.
    fn stat(&self, tree: u32, path: &str, follow: bool) -> Result<Metadata>;
    /// Up to `limit` entries of a directory of a tree.
    fn list_directory(&self, tree: u32, path: &str, cursor: &str, limit: u32) -> Result<Page>;
    /// Up to `length` bytes (at most 4 MiB) of a regular file of a tree.
    fn read_at(&self, tree: u32, path: &str, offset: u64, length: u32) -> Result<Vec<u8>>;
    /// Target of a symbolic link of a tree.
    fn read_link(&self, tree: u32, path: &str) -> Result<String>;

    /// Records the operating system.
    fn set_operating_system(&mut self, os: &OperatingSystem) -> Result<()>;
    /// Records which device is mounted where. `/` must be among them, else there is no
    /// guest.
    fn add_mount(&mut self, mount: &MountPoint) -> Result<()>;
    /// Records a kernel.
    fn add_kernel(&mut self, kernel: &Kernel) -> Result<()>;
    /// Records what a device holds that no file-system plugin recognised (`swap`).
    fn identify_device(
        &mut self,
        device: u32,
        kind: &str,
        uuid: Option<&str>,
        label: Option<&str>,
    ) -> Result<()>;
    /// Records any other fact (`machine-id`).
    fn set_fact(&mut self, key: &str, value: &str) -> Result<()>;
    /// Records something the person who approves should know.
    fn note(&mut self, severity: Severity, message: &str) -> Result<()>;
}

impl dyn Trees + '_ {
    /// The plugin's settings as its own type; see [`crate::context::settings`].
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T> {
        crate::context::settings(self)
    }

    /// One tree as a [`FileTree`], with its helpers.
    pub fn tree(&self, index: u32) -> TreeView<'_> {
        TreeView { trees: self, index }
    }
}

/// One file system of the guest, on its own.
#[derive(Clone, Copy)]
pub struct TreeView<'a> {
    trees: &'a dyn Trees,
    index: u32,
}

impl FileTree for TreeView<'_> {
    fn stat(&self, path: &str, follow: bool) -> Result<Metadata> {
        self.trees.stat(self.index, path, follow)
    }
    fn list_directory(&self, path: &str, cursor: &str, limit: u32) -> Result<Page> {
        self.trees.list_directory(self.index, path, cursor, limit)
    }
    fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>> {
        self.trees.read_at(self.index, path, offset, length)
    }
    fn read_link(&self, path: &str) -> Result<String> {
        self.trees.read_link(self.index, path)
    }
}

/// Makes an [`Inspector`] the export of this component. Natively it only checks the type.
#[cfg(feature = "inspector")]
#[macro_export]
macro_rules! export_inspector {
    ($inspector:ty) => {
        #[cfg(target_family = "wasm")]
        mod cofferdam_export {
            use super::*;
            type Component = $crate::inspector::Exported<$inspector>;
            $crate::bindings::inspector::export!(
                Component with_types_in $crate::bindings::inspector
            );
        }
        #[cfg(not(target_family = "wasm"))]
        const _: fn(&mut dyn $crate::Trees) -> $crate::Result<()> =
            <$inspector as $crate::inspector::Inspector>::inspect;
    };
}

#[cfg(feature = "inspector")]
pub use host::Exported;

#[cfg(feature = "inspector")]
mod host {
    use std::marker::PhantomData;

    use super::{Inspector, Trees};
    use crate::{
        bindings::inspector::{
            self as bindings,
            cofferdam::guest::{findings, trees},
        },
        context::host_context,
        error::{Error, Result},
        types::{BlockDevice, Kernel, Metadata, MountPoint, OperatingSystem, Page, Severity, Tree},
    };

    /// Joins an author's type to the generated export.
    #[doc(hidden)]
    pub struct Exported<T>(PhantomData<T>);

    impl<T: Inspector> bindings::exports::cofferdam::plugin::inspection::Guest for Exported<T> {
        fn inspect() -> Result<(), Error> {
            T::inspect(&mut HostTrees)
        }
    }

    /// The trees that the host shows.
    struct HostTrees;

    host_context!(HostTrees, crate::bindings::inspector);

    impl Trees for HostTrees {
        fn devices(&self) -> Vec<BlockDevice> {
            trees::devices()
        }
        fn read_device(&self, device: u32, offset: u64, length: u32) -> Result<Vec<u8>> {
            trees::read_device(device, offset, length)
        }
        fn trees(&self) -> Vec<Tree> {
            let found = trees::list().into_iter();
            found
                .map(
                    |trees::Tree {
                         index,
                         device,
                         kind,
                     }| Tree {
                        index,
                        device,
                        kind,
                    },
                )
                .collect()
        }
        fn stat(&self, tree: u32, path: &str, follow: bool) -> Result<Metadata> {
            trees::stat(tree, path, follow)
        }
        fn list_directory(&self, tree: u32, path: &str, cursor: &str, limit: u32) -> Result<Page> {
            trees::list_directory(tree, path, cursor, limit)
        }
        fn read_at(&self, tree: u32, path: &str, offset: u64, length: u32) -> Result<Vec<u8>> {
            trees::read_at(tree, path, offset, length)
        }
        fn read_link(&self, tree: u32, path: &str) -> Result<String> {
            trees::read_link(tree, path)
        }

        fn set_operating_system(&mut self, os: &OperatingSystem) -> Result<()> {
            findings::set_operating_system(os)
        }
        fn add_mount(&mut self, mount: &MountPoint) -> Result<()> {
            findings::add_mount(mount)
        }
        fn add_kernel(&mut self, kernel: &Kernel) -> Result<()> {
            findings::add_kernel(kernel)
        }
        fn identify_device(
            &mut self,
            device: u32,
            kind: &str,
            uuid: Option<&str>,
            label: Option<&str>,
        ) -> Result<()> {
            findings::identify_device(device, kind, uuid, label)
        }
        fn set_fact(&mut self, key: &str, value: &str) -> Result<()> {
            findings::set_fact(key, value)
        }
        fn note(&mut self, severity: Severity, message: &str) -> Result<()> {
            findings::note(severity, message)
        }
    }
}
