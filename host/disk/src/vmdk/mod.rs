//! x
use crate::DiskError;
use crate::folder::{SourceFile, SourceFolder};
use crate::open::Opened;
use std::sync::Arc;
pub(crate) fn probe(_: &[u8]) -> bool {
    false
}
pub(crate) fn open(_: &SourceFolder, file: Arc<SourceFile>) -> Result<Opened, DiskError> {
    Err(file.unsupported("vmdk"))
}
