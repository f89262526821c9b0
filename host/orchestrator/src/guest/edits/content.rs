//! Edits of what is in a file.

use super::super::content::{Content, NewBytes};
use super::super::model::{Model, NodeId};
use super::super::resolve::Place;
use super::{Operation, Recorded};
use cofferdam_contract::types::{Error, ErrorCode};

/// Most pieces that a file's content may consist of: every edit keeps the content before and
/// after it, so that their number must not follow that of the edits.
const MOST_PIECES: usize = 128;
/// Most bytes that one edit carries: what the contract allows.
const MOST_BYTES: usize = 16 << 20;

impl Model {
    pub(super) fn set_content(&mut self, id: NodeId, content: Content) -> Result<(), Error> {
        let now = self.now();
        let node = self.node_mut(id)?;
        node.metadata.size = content.len();
        node.metadata.modified = now;
        node.content = Some(content);
        node.touched = true;
        Ok(())
    }

    pub(super) async fn regular(&mut self, path: &str) -> Result<(Place, NodeId, Content), Error> {
        let place = self.resolve(path, true).await?;
        let id = place.existing()?;
        let content = self.content(id).map_err(|error| {
            Error::new(error.code, format!("{}: {}", place.path, error.message))
        })?;
        Ok((place, id, content))
    }

    pub(crate) async fn edit_write(
        &mut self,
        path: &str,
        bytes: Vec<u8>,
    ) -> Result<Option<Recorded>, Error> {
        check_size(&bytes)?;
        let (place, id, before) = self.regular(path).await?;
        if before.len() == bytes.len() as u64 && self.read(&before, 0, before.len()).await? == bytes
        {
            return Ok(None);
        }
        let after = Content::new(bytes);
        self.set_content(id, after.clone())?;
        self.recorded(place, Operation::Write, Some(before), Some(after))
    }

    pub(crate) async fn edit_append(
        &mut self,
        path: &str,
        bytes: Vec<u8>,
    ) -> Result<Option<Recorded>, Error> {
        check_size(&bytes)?;
        let (place, id, before) = self.regular(path).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let bytes = NewBytes::from(bytes);
        let after = before.appended(bytes.clone());
        check_pieces(&place.path, &after)?;
        self.set_content(id, after.clone())?;
        let offset = before.len();
        self.recorded(
            place,
            Operation::Append { offset, bytes },
            Some(before),
            Some(after),
        )
    }

    pub(crate) async fn edit_patch(
        &mut self,
        path: &str,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Result<Option<Recorded>, Error> {
        check_size(&bytes)?;
        let (place, id, before) = self.regular(path).await?;
        let inside = offset
            .checked_add(bytes.len() as u64)
            .is_some_and(|end| end <= before.len());
        if !inside {
            return Err(Error::invalid(format!(
                "{} has {} bytes; the patch of {} bytes at {offset} goes beyond",
                place.path,
                before.len(),
                bytes.len()
            )));
        }
        if self.read(&before, offset, bytes.len() as u64).await? == bytes {
            return Ok(None);
        }
        let bytes = NewBytes::from(bytes);
        let after = before.patched(offset, bytes.clone());
        check_pieces(&place.path, &after)?;
        self.set_content(id, after.clone())?;
        self.recorded(
            place,
            Operation::Patch { offset, bytes },
            Some(before),
            Some(after),
        )
    }
}

pub(super) fn check_size(bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > MOST_BYTES {
        return Err(Error::new(
            ErrorCode::Limit,
            format!(
                "{} bytes are more than the 16 MiB that one edit carries",
                bytes.len()
            ),
        ));
    }
    Ok(())
}

fn check_pieces(path: &str, content: &Content) -> Result<(), Error> {
    if content.pieces() > MOST_PIECES {
        return Err(Error::new(
            ErrorCode::Limit,
            format!("{path} is edited in more than {MOST_PIECES} pieces"),
        )
        .with_hint("write the file once instead of appending and patching bit by bit"));
    }
    Ok(())
}
