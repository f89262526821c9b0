//! Edits of what is beside the content: mode, owner, group, extended attributes.

use super::super::model::Model;
use super::{LONGEST_NAME, Operation, Recorded};
use cofferdam_contract::types::{Error, ErrorCode, FileKind};

impl Model {
    pub(crate) async fn edit_attributes(
        &mut self,
        path: &str,
        mode: Option<u32>,
        owner: Option<(u32, u32)>,
    ) -> Result<Option<Recorded>, Error> {
        if let Some(mode) = mode {
            check_mode(mode)?;
        }
        let place = self.resolve(path, false).await?;
        let id = place.existing()?;
        let metadata = &mut self.node_mut(id)?.metadata;
        let old = (metadata.mode, metadata.owner, metadata.group);
        let (owner, group) = owner.unwrap_or((metadata.owner, metadata.group));
        let mode = mode.unwrap_or(metadata.mode);
        if old == (mode, owner, group) {
            return Ok(None);
        }
        if metadata.kind == FileKind::Symlink && mode != metadata.mode {
            return Err(Error::invalid(format!(
                "{} is a symbolic link, which has no mode of its own",
                place.path
            )));
        }
        (metadata.mode, metadata.owner, metadata.group) = (mode, owner, group);
        self.node_mut(id)?.touched = true;
        let content = self.content(id).ok();
        self.recorded(
            place,
            Operation::SetAttributes { mode, owner, group },
            content.clone(),
            content,
        )
    }

    pub(crate) async fn edit_xattr(
        &mut self,
        path: &str,
        name: &str,
        value: Option<Vec<u8>>,
    ) -> Result<Option<Recorded>, Error> {
        if name.is_empty() || name.len() > LONGEST_NAME || !name.contains('.') {
            return Err(Error::invalid(format!(
                "{name:?} is not the name of an extended attribute (namespace.name)"
            )));
        }
        let place = self.resolve(path, false).await?;
        let id = place.existing()?;
        let old = match self.xattr(id, name).await {
            Ok(old) => Some(old),
            Err(error) if error.code == ErrorCode::NotFound => None,
            Err(error) => return Err(error),
        };
        if old == value {
            return Ok(None);
        }
        let node = self.node_mut(id)?;
        node.xattrs.insert(name.to_owned(), value.clone());
        node.touched = true;
        let content = self.content(id).ok();
        self.recorded(
            place,
            Operation::SetXattr {
                name: name.to_owned(),
                value,
            },
            content.clone(),
            content,
        )
    }
}

pub(super) fn check_mode(mode: u32) -> Result<(), Error> {
    if mode > 0o7777 {
        return Err(Error::invalid(format!(
            "{mode:o} is not a mode of permission bits (0 to 7777)"
        )));
    }
    Ok(())
}
