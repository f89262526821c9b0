//! What the guest is: inspectors are asked, and the guest is composed from what they say.

use super::devices::{ImageDevices, shown, slice};
use super::discover::FoundMachine;
use super::open::Opened;
use super::request::Request;
use crate::MigrateError;
use crate::guest::trees::{Found, GuestTrees, InspectorFindings};
use crate::guest::{Model, Mount, Note, Notes};
use cofferdam_contract::kinds::FileTree;
use cofferdam_contract::services::Facts;
use cofferdam_contract::types::{BlockDevice, Severity};
use std::sync::{Arc, Mutex, PoisonError};

/// A guest that inspectors recognised.
pub struct Inspected {
    /// What fixers are told.
    pub facts: Arc<Facts>,
    /// Where the file systems are mounted.
    pub mounts: Vec<Mount>,
}

impl Inspected {
    /// The guest over other sessions of the same file systems.
    ///
    /// # Errors
    /// What the sessions say.
    pub async fn compose(
        &self,
        sessions: Vec<Arc<dyn FileTree>>,
        request: &Request,
        notes: &Notes,
    ) -> Result<Model, MigrateError> {
        let (model, refused) = Model::compose(sessions, &self.mounts, request.time).await?;
        for (mount, reason) in refused {
            notes.add(Note::host(
                Severity::Warn,
                format!("nothing is mounted at {}: {reason}", mount.path),
            ));
        }
        Ok(model)
    }
}

/// Asks every inspector.
///
/// # Errors
/// [`MigrateError::NoOperatingSystem`], [`MigrateError::Blocked`], and what plugins say.
pub async fn inspect(
    request: &Request,
    machine: &FoundMachine,
    opened: &Opened,
    notes: &Arc<Notes>,
) -> Result<Inspected, MigrateError> {
    if request.plugins.inspectors.is_empty() {
        return Err(MigrateError::NoPlugins { kind: "inspector" });
    }
    let over = opened.images();
    let mut raw = Vec::new();
    for device in &opened.devices {
        raw.push(slice(&over, device)?);
    }
    let (model, _) = Model::compose(opened.sessions(), &[], request.time).await?;
    let trees = Arc::new(GuestTrees {
        devices: opened.devices.clone(),
        raw: ImageDevices::new(raw, true),
        trees: opened.trees(),
        model: tokio::sync::Mutex::new(model),
    });
    let found = Arc::new(Mutex::new(Found::default()));
    for inspector in &request.plugins.inspectors {
        let findings = Arc::new(InspectorFindings::new(
            &inspector.manifest().id,
            u32::try_from(opened.devices.len()).unwrap_or(u32::MAX),
            Arc::clone(&found),
            Arc::clone(notes),
        ));
        let call = request.call(inspector.as_ref())?;
        let outcome = inspector
            .inspect(call, Arc::clone(&trees) as _, findings)
            .await;
        if let Some(fault) = trees.take_fault().await {
            return Err(fault.into());
        }
        outcome?;
    }
    let found = found.lock().unwrap_or_else(PoisonError::into_inner).clone();
    conclude(request, machine, opened, found, notes)
}

fn conclude(
    request: &Request,
    machine: &FoundMachine,
    opened: &Opened,
    found: Found,
    notes: &Notes,
) -> Result<Inspected, MigrateError> {
    let mut devices = opened.devices.clone();
    for device in &mut devices {
        if device.kind.is_none()
            && let Some((kind, uuid, label)) = found.devices.get(&device.index)
        {
            device.kind = Some(kind.clone());
            device.uuid.clone_from(uuid);
            device.label.clone_from(label);
        }
    }
    let all = notes.all();
    if all.iter().any(Note::blocks) {
        return Err(MigrateError::Blocked { notes: all });
    }
    let nothing_found = || MigrateError::NoOperatingSystem {
        seen: seen(&devices),
        notes: all.clone(),
    };
    let operating_system = found.operating_system.clone().ok_or_else(nothing_found)?;
    let mut mounts = Vec::new();
    for mount in found.mounts.values() {
        let tree = opened
            .mounted
            .iter()
            .zip(0_u32..)
            .find(|(mounted, _)| mounted.device == mount.device);
        match tree {
            Some((_, tree)) => mounts.push(Mount {
                path: mount.path.clone(),
                tree,
            }),
            None => notes.add(Note::host(
                Severity::Warn,
                format!(
                    "the file system for {} was not mounted: no plugin reads it",
                    mount.path
                ),
            )),
        }
    }
    if !mounts.iter().any(|mount| mount.path == "/") {
        return Err(nothing_found());
    }
    let facts = Facts {
        operating_system,
        devices,
        mounts: found.mounts.into_values().collect(),
        kernels: found.kernels.into_values().collect(),
        nics: machine.nics.clone(),
        firmware: machine
            .firmware
            .clone()
            .or_else(|| found.facts.get("firmware").cloned())
            .unwrap_or_else(|| "unknown".to_owned()),
        target: request.target.machine(),
        other: found.facts,
    };
    Ok(Inspected {
        facts: Arc::new(facts),
        mounts,
    })
}

fn seen(devices: &[BlockDevice]) -> String {
    if devices.is_empty() {
        return "no partition and no file system".to_owned();
    }
    let each: Vec<String> = devices
        .iter()
        .map(|device| {
            format!(
                "{}: {}",
                shown(device),
                device.kind.as_deref().unwrap_or("nothing that is known")
            )
        })
        .collect();
    each.join(", ")
}
