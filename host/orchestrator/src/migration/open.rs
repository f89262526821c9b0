//! Overlays, and the file systems mounted on them.
//!
//! Every disk gets a copy-on-write overlay before anything is mounted, because mounting
//! may have to replay a journal: the source itself is never written.

use super::devices::{self, ImageDevices};
use super::request::Request;
use crate::MigrateError;
use crate::guest::{Note, Notes};
use cofferdam_contract::failure::{CallError, Callee};
use cofferdam_contract::kinds::{FileTree, Filesystem, SessionSlot};
use cofferdam_contract::types::{BlockDevice, Severity, Tree};
use cofferdam_disk::{Image, Overlay};
use std::path::Path;
use std::sync::Arc;

/// A file system that a plugin mounted.
#[derive(Clone)]
pub struct Mounted {
    /// `index` of its device.
    pub device: u32,
    /// What it is (`ext4`).
    pub kind: String,
    /// The plugin.
    pub filesystem: Arc<dyn Filesystem>,
    /// The session that reads it.
    pub session: Arc<dyn FileTree>,
    /// The right to one more session beside it.
    pub spare: SessionSlot,
}

/// A machine's disks, ready to be looked at.
pub struct Opened {
    /// The first overlay of each disk: the source with its journals replayed.
    pub disks: Vec<Arc<Overlay>>,
    /// Every device, with what is known of its content.
    pub devices: Vec<BlockDevice>,
    /// The file systems.
    pub mounted: Vec<Mounted>,
}

impl Opened {
    /// The file systems as inspectors number them.
    pub fn trees(&self) -> Vec<Tree> {
        self.mounted
            .iter()
            .zip(0..)
            .map(|(mounted, index)| Tree {
                index,
                device: mounted.device,
                kind: mounted.kind.clone(),
            })
            .collect()
    }

    /// The sessions in the same order.
    pub fn sessions(&self) -> Vec<Arc<dyn FileTree>> {
        self.mounted
            .iter()
            .map(|mounted| Arc::clone(&mounted.session))
            .collect()
    }

    /// The disks as images.
    pub fn images(&self) -> Vec<Arc<dyn Image>> {
        images(&self.disks)
    }
}

/// Overlays as images.
pub fn images(overlays: &[Arc<Overlay>]) -> Vec<Arc<dyn Image>> {
    overlays
        .iter()
        .map(|overlay| Arc::clone(overlay) as Arc<dyn Image>)
        .collect()
}

/// A new overlay over each disk.
///
/// # Errors
/// No scratch space.
pub fn overlay_each(
    disks: &[Arc<dyn Image>],
    scratch: &Path,
) -> Result<Vec<Arc<Overlay>>, MigrateError> {
    disks
        .iter()
        .map(|disk| Ok(Arc::new(Overlay::new(Arc::clone(disk), scratch)?)))
        .collect()
}

/// Makes overlays, finds devices, and mounts what a file-system plugin recognises.
///
/// # Errors
/// What the images say, and a plugin that failed otherwise than by answering.
pub async fn open(
    request: &Request,
    disks: &[Arc<dyn Image>],
    notes: &Notes,
) -> Result<Opened, MigrateError> {
    if request.plugins.filesystems.is_empty() {
        return Err(MigrateError::NoPlugins { kind: "filesystem" });
    }
    let overlays = overlay_each(disks, &request.scratch)?;
    let over = images(&overlays);
    let mut devices = devices::list(&over, notes)?;
    let slots = u32::try_from(devices.len() * 2).unwrap_or(u32::MAX);
    let mut slots = request.plugins.sessions.reserve(slots).await?;
    let mut mounted = Vec::new();
    for device in &mut devices {
        let (Some(own), Some(spare)) = (slots.pop(), slots.pop()) else {
            return Err(MigrateError::Host("session slots ran out".to_owned()));
        };
        let image = devices::slice(&over, device)?;
        if let Some((kind, filesystem, session)) =
            mount(request, device, &image, &own, notes).await?
        {
            mounted.push(Mounted {
                device: device.index,
                kind,
                filesystem,
                session,
                spare,
            });
        }
    }
    Ok(Opened {
        disks: overlays,
        devices,
        mounted,
    })
}

type Recognised = (String, Arc<dyn Filesystem>, Arc<dyn FileTree>);

/// Asks the file systems in order; the first that recognises the device mounts it.
async fn mount(
    request: &Request,
    device: &mut BlockDevice,
    image: &Arc<dyn Image>,
    slot: &SessionSlot,
    notes: &Notes,
) -> Result<Option<Recognised>, MigrateError> {
    for filesystem in &request.plugins.filesystems {
        let call = request.call(filesystem.as_ref())?;
        let own = ImageDevices::new(vec![Arc::clone(image)], false);
        let session = filesystem.open(call, own, slot.clone()).await?;
        let identity = match session.probe().await {
            Ok(Some(identity)) => identity,
            Ok(None) => continue,
            Err(failure) => {
                answered(failure, device, notes, "cannot be read")?;
                continue;
            }
        };
        device.kind = Some(identity.kind.clone());
        device.uuid = identity.uuid;
        device.label = identity.label;
        match session.mount(false).await {
            Ok(report) => {
                if report.replayed {
                    notes.add(Note::host(
                        Severity::Info,
                        format!(
                            "{} was not unmounted cleanly; its journal is replayed into the new disk, not into the source",
                            devices::shown(device)
                        ),
                    ));
                }
                for text in report.notes {
                    let note = Note {
                        plugin: filesystem.manifest().id.clone(),
                        severity: Severity::Info,
                        message: format!("{}: {text}", devices::shown(device)),
                    };
                    notes
                        .add_of_plugin(note)
                        .map_err(|error| CallError::Returned {
                            callee: Callee {
                                plugin: filesystem.manifest().id.clone(),
                                call: "mount".to_owned(),
                            },
                            error,
                        })?;
                }
                let session: Arc<dyn FileTree> = Arc::from(session);
                return Ok(Some((identity.kind, Arc::clone(filesystem), session)));
            }
            Err(failure) => {
                answered(failure, device, notes, "cannot be mounted")?;
                return Ok(None);
            }
        }
    }
    Ok(None)
}

/// A plugin's ordinary answer becomes a note; anything else ends the run.
fn answered(
    failure: CallError,
    device: &BlockDevice,
    notes: &Notes,
    what: &str,
) -> Result<(), MigrateError> {
    let Some(error) = failure.returned() else {
        return Err(failure.into());
    };
    let kind = device.kind.as_deref().unwrap_or("file system");
    notes.add(Note::host(
        Severity::Warn,
        format!(
            "{} ({kind}) {what}: {}",
            devices::shown(device),
            error.message
        ),
    ));
    Ok(())
}
