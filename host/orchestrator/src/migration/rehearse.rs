//! Carrying the edits out, for real, on a second overlay.
//!
//! The first overlay stays as it was, so that the sessions that edits were planned on keep
//! reading what they read then.

use super::devices::{ImageDevices, slice};
use super::open::{Mounted, Opened, images, overlay_each};
use super::request::Request;
use crate::MigrateError;
use crate::guest::content::Content;
use crate::guest::{Edit, Model, Operation};
use cofferdam_contract::failure::{CallError, Callee};
use cofferdam_contract::kinds::FileTree;
use cofferdam_contract::types::{BlockDevice, Error};
use cofferdam_disk::{Image, Overlay};
use std::sync::Arc;

/// Bytes written to a file system in one call.
const CHUNK: u64 = 1 << 20;

/// Opens one more session of a mounted file system, over these disks.
///
/// # Errors
/// What the plugin says.
pub async fn reopen(
    request: &Request,
    mounted: &Mounted,
    devices: &[BlockDevice],
    disks: &[Arc<dyn Image>],
    writable: bool,
) -> Result<Arc<dyn FileTree>, MigrateError> {
    let device = devices
        .iter()
        .find(|device| device.index == mounted.device)
        .ok_or_else(|| MigrateError::Host("a mounted device disappeared".to_owned()))?;
    let image = slice(disks, device)?;
    let session = mounted
        .filesystem
        .open(
            request.call(mounted.filesystem.as_ref())?,
            ImageDevices::new(vec![image], !writable),
            mounted.spare.clone(),
        )
        .await?;
    session.mount(writable).await?;
    Ok(Arc::from(session))
}

/// Carries the edits out and returns the overlays that hold the result.
///
/// # Errors
/// [`MigrateError::Rehearsal`] names the edit that failed.
pub async fn rehearse(
    request: &Request,
    opened: &Opened,
    model: &mut Model,
    edits: &[Edit],
) -> Result<Vec<Arc<Overlay>>, MigrateError> {
    let overlays = overlay_each(&opened.images(), &request.scratch)?;
    let disks = images(&overlays);
    for (mounted, tree) in opened.mounted.iter().zip(0_u32..) {
        let mut own = edits.iter().filter(|edit| edit.tree == tree).peekable();
        if own.peek().is_none() {
            continue;
        }
        let session = reopen(request, mounted, &opened.devices, &disks, true).await?;
        for edit in own {
            carry_out(session.as_ref(), model, edit)
                .await
                .map_err(|failure| MigrateError::Rehearsal {
                    edit: edit.to_string(),
                    failure: Box::new(failure),
                })?;
        }
        session
            .commit()
            .await
            .map_err(|failure| MigrateError::Rehearsal {
                edit: "finishing the edits".to_owned(),
                failure: Box::new(failure),
            })?;
    }
    Ok(overlays)
}

async fn carry_out(
    session: &dyn FileTree,
    model: &mut Model,
    edit: &Edit,
) -> Result<(), CallError> {
    let path = edit.tree_path.as_str();
    let empty = Content::default();
    let after = edit.after.as_ref().unwrap_or(&empty);
    match &edit.operation {
        Operation::Write => {
            let before = edit.before.as_ref().map_or(0, Content::len);
            if after.len() < before {
                session.truncate(path, after.len()).await?;
            }
            write_all(session, model, path, after).await
        }
        Operation::Create(attributes) => {
            session.create(path, attributes).await?;
            write_all(session, model, path, after).await
        }
        Operation::Copy {
            attributes, xattrs, ..
        } => {
            session.create(path, attributes).await?;
            for (name, value) in xattrs {
                session.set_xattr(path, name, Some(value)).await?;
            }
            write_all(session, model, path, after).await
        }
        Operation::Append { offset, bytes } | Operation::Patch { offset, bytes } => {
            write_bytes(session, path, *offset, bytes).await
        }
        Operation::MakeDirectory(attributes) => session.make_directory(path, attributes).await,
        Operation::Rename { to_tree_path, .. } => session.rename(path, to_tree_path).await,
        Operation::Remove => session.remove(path).await,
        Operation::Symlink { target, attributes } => {
            session.symlink(path, target, attributes).await
        }
        Operation::Link {
            existing_tree_path, ..
        } => session.link(existing_tree_path, path).await,
        Operation::SetAttributes { mode, owner, group } => {
            session.set_attributes(path, *mode, *owner, *group).await
        }
        Operation::SetXattr { name, value } => {
            session.set_xattr(path, name, value.as_deref()).await
        }
    }
}

async fn write_all(
    session: &dyn FileTree,
    model: &mut Model,
    path: &str,
    content: &Content,
) -> Result<(), CallError> {
    let mut offset = 0;
    while offset < content.len() {
        let bytes = model
            .read(content, offset, CHUNK)
            .await
            .map_err(|error| host_read(path, &error))?;
        session.write_at(path, offset, &bytes).await?;
        offset += bytes.len() as u64;
    }
    Ok(())
}

async fn write_bytes(
    session: &dyn FileTree,
    path: &str,
    offset: u64,
    bytes: &[u8],
) -> Result<(), CallError> {
    let mut at = offset;
    for chunk in bytes.chunks(usize::try_from(CHUNK).unwrap_or(usize::MAX)) {
        session.write_at(path, at, chunk).await?;
        at += chunk.len() as u64;
    }
    Ok(())
}

fn host_read(path: &str, error: &Error) -> CallError {
    CallError::Host {
        callee: Callee {
            plugin: "cofferdam".to_owned(),
            call: "rehearse".to_owned(),
        },
        reason: format!(
            "the new content of {path} cannot be read: {}",
            error.message
        ),
    }
}
