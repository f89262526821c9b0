//! Which files are the machine's disks: a source plugin is asked.

use super::request::Request;
use crate::MigrateError;
use crate::guest::{Note, Notes};
use async_trait::async_trait;
use cofferdam_contract::services::{Machine, SourceFolder};
use cofferdam_contract::types::{Error, ErrorCode, Nic, Severity, SourceFile};
use cofferdam_disk::{DiskError, Format, OpenImage};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most bytes of one read, and most files of one listing: what the contract allows.
const MOST_BYTES: u32 = 4 << 20;
const MOST_FILES: usize = 10_000;
/// Most disks, and most network cards, of a machine: no hypervisor attaches as many.
const MOST_PARTS: usize = 1_024;

/// A machine as its source describes it.
#[derive(Debug, Clone, Default)]
pub struct FoundMachine {
    /// Its name.
    pub name: Option<String>,
    /// Files of its disks in order, with their format.
    pub disks: Vec<(String, Format)>,
    /// `bios` or `uefi`.
    pub firmware: Option<String>,
    /// Memory in MiB.
    pub memory: Option<u32>,
    /// Network cards.
    pub nics: Vec<Nic>,
}

impl FoundMachine {
    /// Adds what another source says of the same machine; what was said first counts.
    fn take(&mut self, more: Self) {
        self.name = self.name.take().or(more.name);
        self.disks.extend(more.disks);
        self.firmware = self.firmware.take().or(more.firmware);
        self.memory = self.memory.or(more.memory);
        self.nics.extend(more.nics);
    }
}

/// A machine whose images are open.
pub struct Discovered {
    /// What the sources recorded.
    pub machine: FoundMachine,
    /// Its disks, opened read-only, in order, each with the number of the source that it is
    /// from.
    pub images: Vec<(u32, Arc<OpenImage>)>,
}

/// Asks the source plugins for each file given; the first that knows a file is taken.
///
/// # Errors
/// [`MigrateError::UnknownSource`] when none does, [`MigrateError::SameFile`] when two
/// disks are one file, what the source or the images say.
pub async fn discover(request: &Request, notes: &Arc<Notes>) -> Result<Discovered, MigrateError> {
    if request.plugins.sources.is_empty() {
        return Err(MigrateError::NoPlugins {
            kind: "disk-source",
        });
    }
    let mut found = Discovered {
        machine: FoundMachine::default(),
        images: Vec::new(),
    };
    for (source, number) in request.sources.iter().zip(0..) {
        let (machine, images) = discover_one(request, source, notes).await?;
        found.machine.take(machine);
        let numbered = images.into_iter().map(|image| (number, image));
        found.images.extend(numbered);
    }
    let mut seen = BTreeMap::new();
    for (number, image) in &found.images {
        for file in image.files() {
            if let Some(first) = seen.insert(file.inode()?, (number, image))
                && !Arc::ptr_eq(first.1, image)
            {
                return Err(MigrateError::SameFile {
                    name: file.name().to_owned(),
                });
            }
        }
    }
    Ok(found)
}

/// The machine, and its disks, behind one file.
async fn discover_one(
    request: &Request,
    path: &Path,
    notes: &Arc<Notes>,
) -> Result<(FoundMachine, Vec<Arc<OpenImage>>), MigrateError> {
    let (folder, name) = cofferdam_disk::SourceFolder::of_file(path)?;
    let folder = Arc::new(folder);
    for source in &request.plugins.sources {
        let id = source.manifest().id.clone();
        let recorder = Arc::new(Recorder {
            plugin: id.clone(),
            machine: Mutex::default(),
            notes: Arc::clone(notes),
        });
        let files = Arc::new(Folder(Arc::clone(&folder)));
        let call = request.call(source.as_ref())?;
        let machine = Arc::clone(&recorder) as Arc<dyn Machine>;
        if !source.discover(call, files, machine, &name).await? {
            continue;
        }
        let machine = recorder.machine().clone();
        if machine.disks.is_empty() {
            return Err(MigrateError::BadMachine {
                plugin: id,
                name,
                reason: "it recorded no disk".to_owned(),
            });
        }
        let mut images = Vec::new();
        for (file, format) in &machine.disks {
            let image = cofferdam_disk::open(&folder, file, Some(*format))?;
            for warning in image.warnings() {
                notes.add(Note::host(Severity::Warn, format!("{file}: {warning}")));
            }
            images.push(image);
        }
        return Ok((machine, images));
    }
    let sources: Vec<&str> = request
        .plugins
        .sources
        .iter()
        .map(|source| source.manifest().id.as_str())
        .collect();
    Err(MigrateError::UnknownSource {
        name,
        sources: sources.join(", "),
    })
}

/// The contract's error for one of the disk library.
pub fn contract_error(error: &DiskError) -> Error {
    let code = match error {
        DiskError::NotFound { .. } | DiskError::NoFolder { .. } => ErrorCode::NotFound,
        DiskError::OutsideFolder { .. } | DiskError::ReadOnly { .. } => ErrorCode::Denied,
        DiskError::Truncated { .. } | DiskError::Corrupt { .. } => ErrorCode::Corrupt,
        DiskError::Unsupported { .. } | DiskError::BackingFile { .. } => ErrorCode::Unsupported,
        DiskError::OutOfRange { .. } | DiskError::UnknownFormat { .. } => ErrorCode::Invalid,
        DiskError::NoSpace { .. } => ErrorCode::NoSpace,
        DiskError::Cancelled => ErrorCode::Cancelled,
        DiskError::Exists { .. } => ErrorCode::Exists,
        DiskError::Locked { .. } => ErrorCode::Locked,
        _ => ErrorCode::Other,
    };
    Error::new(code, error.to_string())
}

struct Folder(Arc<cofferdam_disk::SourceFolder>);

#[async_trait]
impl SourceFolder for Folder {
    async fn list(&self) -> Result<Vec<SourceFile>, Error> {
        let entries = self.0.list("").map_err(|error| contract_error(&error))?;
        let files: Vec<SourceFile> = entries
            .into_iter()
            .filter(|entry| !entry.folder)
            .map(|entry| SourceFile {
                name: entry.name,
                size: entry.size,
            })
            .collect();
        if files.len() > MOST_FILES {
            return Err(Error::new(
                ErrorCode::Limit,
                format!(
                    "the folder holds {} files, more than {MOST_FILES}",
                    files.len()
                ),
            )
            .with_hint("move the machine's files to a folder of their own"));
        }
        Ok(files)
    }

    async fn stat(&self, name: &str) -> Result<SourceFile, Error> {
        let file = self
            .0
            .open_file(name)
            .map_err(|error| contract_error(&error))?;
        Ok(SourceFile {
            name: name.to_owned(),
            size: file.size(),
        })
    }

    async fn read_at(&self, name: &str, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        let file = self
            .0
            .open_file(name)
            .map_err(|error| contract_error(&error))?;
        let left = file.size().saturating_sub(offset);
        let length = u64::from(length.min(MOST_BYTES)).min(left);
        if length == 0 {
            return Ok(Vec::new());
        }
        file.read_vec(offset, length, "what a disk source asked for")
            .map_err(|error| contract_error(&error))
    }
}

/// Adds a disk or network card, where there are not too many.
fn add_part<T>(parts: &mut Vec<T>, part: T) -> Result<(), Error> {
    if parts.len() >= MOST_PARTS {
        return Err(Error::new(
            ErrorCode::Limit,
            format!("a machine has at most {MOST_PARTS} disks and as many network cards"),
        ));
    }
    parts.push(part);
    Ok(())
}

struct Recorder {
    plugin: String,
    machine: Mutex<FoundMachine>,
    notes: Arc<Notes>,
}

impl Recorder {
    fn machine(&self) -> MutexGuard<'_, FoundMachine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine for Recorder {
    fn add_disk(&self, name: &str, format: &str) -> Result<(), Error> {
        let format: Format = format
            .parse()
            .map_err(|error: DiskError| Error::invalid(error.to_string()))?;
        add_part(&mut self.machine().disks, (name.to_owned(), format))
    }

    fn set_name(&self, name: &str) -> Result<(), Error> {
        let fine = !name.is_empty()
            && name.len() <= 200
            && !name.starts_with('.')
            && !name.contains(['/', '\0', '\n']);
        if !fine {
            return Err(Error::invalid(format!(
                "{name:?} is no name for a machine: 1 to 200 bytes, no slash, no leading dot"
            )));
        }
        self.machine().name = Some(name.to_owned());
        Ok(())
    }

    fn set_firmware(&self, firmware: &str) -> Result<(), Error> {
        if !["bios", "uefi"].contains(&firmware) {
            return Err(Error::invalid(format!(
                "{firmware:?} is neither bios nor uefi"
            )));
        }
        self.machine().firmware = Some(firmware.to_owned());
        Ok(())
    }

    fn set_memory(&self, mebibytes: u32) -> Result<(), Error> {
        self.machine().memory = Some(mebibytes);
        Ok(())
    }

    fn add_nic(&self, nic: Nic) -> Result<(), Error> {
        add_part(&mut self.machine().nics, nic)
    }

    fn note(&self, severity: Severity, message: &str) -> Result<(), Error> {
        self.notes.add_of_plugin(Note {
            plugin: self.plugin.clone(),
            severity,
            message: message.to_owned(),
        })
    }
}
