//! The disk-source kind: the trait that an author implements, the folder it reads and the
//! machine it describes.

use serde::de::DeserializeOwned;

use crate::{
    context::Context,
    error::{Error, Result},
    types::Severity,
};

/// Finds a machine's disks in a folder. Exported with [`crate::export_disk_source!`].
pub trait DiskSource {
    /// Looks at the file `name` of the folder and, if it knows what it is, records the
    /// machine's disks and returns true; false when it is not its kind of thing. An error
    /// means that it is its kind, and broken.
    fn discover(name: &str, folder: &dyn SourceFolder, machine: &mut dyn Machine) -> Result<bool>;
}

/// One file of the source folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name in the folder.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
}

/// The folder of the thing that is being opened, and nothing outside it. Names are
/// relative; `..`, absolute names and links that lead outside are `denied`.
pub trait SourceFolder {
    /// The regular files in the folder, by name, not descending; at most 10,000 (`limit`).
    fn list(&self) -> Result<Vec<SourceFile>>;
    /// One file by name.
    fn stat(&self, name: &str) -> Result<SourceFile>;
    /// Up to `length` bytes (at most 4 MiB); fewer at the end of the file, none beyond.
    fn read_at(&self, name: &str, offset: u64, length: u32) -> Result<Vec<u8>>;

    /// A whole file; `limit` where it is longer than `most` bytes.
    fn read(&self, name: &str, most: u32) -> Result<Vec<u8>> {
        let size = self.stat(name)?.size;
        if size > u64::from(most) {
            return Err(Error::limit(format!(
                "{name} has {size} bytes, more than the {most} that are read of it"
            )));
        }
        let mut content = Vec::new();
        while (content.len() as u64) < size {
            let offset = content.len() as u64;
            let length = u32::try_from(size - offset).unwrap_or(READ).min(READ);
            let piece = self.read_at(name, offset, length)?;
            if piece.is_empty() {
                break;
            }
            content.extend_from_slice(&piece);
        }
        Ok(content)
    }
}

/// How much one read asks for.
const READ: u32 = 1 << 20;

/// Where a disk source records the machine that it found.
pub trait Machine: Context {
    /// A disk, in the machine's order. `name` is a file of the source folder, `format` one
    /// of the host's (`raw`, `qcow2`, `vmdk`).
    fn add_disk(&mut self, name: &str, format: &str) -> Result<()>;
    /// The machine's name.
    fn set_name(&mut self, name: &str) -> Result<()>;
    /// `bios` or `uefi`, where the source says so.
    fn set_firmware(&mut self, firmware: &str) -> Result<()>;
    /// Memory in MiB.
    fn set_memory(&mut self, mebibytes: u32) -> Result<()>;
    /// A network card: its MAC as `aa:bb:cc:dd:ee:ff`, and its model as the source names
    /// it.
    fn add_nic(&mut self, mac: &str, model: Option<&str>) -> Result<()>;
    /// Something the person who approves should know.
    fn note(&mut self, severity: Severity, message: &str) -> Result<()>;
}

impl dyn Machine + '_ {
    /// The plugin's settings as its own type; see [`crate::context::settings`].
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T> {
        crate::context::settings(self)
    }
}

/// Makes a [`DiskSource`] the export of this component. Natively it only checks the type.
#[cfg(feature = "disk-source")]
#[macro_export]
macro_rules! export_disk_source {
    ($source:ty) => {
        #[cfg(target_family = "wasm")]
        mod cofferdam_export {
            use super::*;
            type Component = $crate::source::Exported<$source>;
            $crate::bindings::disk_source::export!(
                Component with_types_in $crate::bindings::disk_source
            );
        }
        #[cfg(not(target_family = "wasm"))]
        const _: fn(
            &str,
            &dyn $crate::source::SourceFolder,
            &mut dyn $crate::source::Machine,
        ) -> $crate::Result<bool> = <$source as $crate::source::DiskSource>::discover;
    };
}

#[cfg(feature = "disk-source")]
pub use host::Exported;

#[cfg(feature = "disk-source")]
mod host {
    use std::marker::PhantomData;

    use super::{DiskSource, Machine, SourceFile, SourceFolder};
    use crate::{
        bindings::disk_source::{
            self as bindings,
            cofferdam::disk::{machine, source_folder},
        },
        context::host_context,
        error::{Error, Result},
        types::Severity,
    };

    /// Joins an author's type to the generated export.
    #[doc(hidden)]
    pub struct Exported<T>(PhantomData<T>);

    impl<T: DiskSource> bindings::exports::cofferdam::plugin::discovery::Guest for Exported<T> {
        fn discover(name: String) -> Result<bool, Error> {
            T::discover(&name, &HostFolder, &mut HostMachine)
        }
    }

    /// The folder that the host shows.
    struct HostFolder;

    /// The machine that the host records.
    struct HostMachine;

    host_context!(HostMachine, crate::bindings::disk_source);

    fn file(source_folder::File { name, size }: source_folder::File) -> SourceFile {
        SourceFile { name, size }
    }

    impl SourceFolder for HostFolder {
        fn list(&self) -> Result<Vec<SourceFile>> {
            Ok(source_folder::list()?.into_iter().map(file).collect())
        }
        fn stat(&self, name: &str) -> Result<SourceFile> {
            source_folder::stat(name).map(file)
        }
        fn read_at(&self, name: &str, offset: u64, length: u32) -> Result<Vec<u8>> {
            source_folder::read_at(name, offset, length)
        }
    }

    impl Machine for HostMachine {
        fn add_disk(&mut self, name: &str, format: &str) -> Result<()> {
            machine::add_disk(name, format)
        }
        fn set_name(&mut self, name: &str) -> Result<()> {
            machine::set_name(name)
        }
        fn set_firmware(&mut self, firmware: &str) -> Result<()> {
            machine::set_firmware(firmware)
        }
        fn set_memory(&mut self, mebibytes: u32) -> Result<()> {
            machine::set_memory(mebibytes)
        }
        fn add_nic(&mut self, mac: &str, model: Option<&str>) -> Result<()> {
            machine::add_nic(mac, model)
        }
        fn note(&mut self, severity: Severity, message: &str) -> Result<()> {
            machine::note(severity, message)
        }
    }
}
