//! What lies where on a disk, as `qemu-img map` shows it.

use crate::{DiskError, Extent, ExtentWalk, Image};

/// One line of a map.
pub type MapEntry = Extent;

/// The extents of the whole disk in order, neighbours of different kind. They are produced
/// as they are asked for, because a damaged or hostile table can describe billions.
pub fn map(image: &dyn Image) -> impl Iterator<Item = Result<MapEntry, DiskError>> + '_ {
    ExtentWalk::whole(image)
}
