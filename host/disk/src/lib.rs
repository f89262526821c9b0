//! Disk images: reading, copy-on-write, partition tables, conversion.
//!
//! A migration tool is handed disks by strangers, in the formats of other vendors, and
//! must neither lose a byte of them nor be led astray by one. This crate knows nothing of
//! plugins, of guests, or of asynchronous code; it is a plain library over threads.
//!
//! # Design
//! - A disk is an [`Image`]: size, [`read_at`](Image::read_at),
//!   [`write_at`](Image::write_at), [`extents`](Image::extents), flush. Formats,
//!   [`Overlay`]s and partitions ([`Slice`]) are all one.
//! - [`open`] opens files only through a [`SourceFolder`], read-only, and what an image
//!   names is never opened outside it.
//! - Parsers read numbers through checked readers ([`bytes`]), load tables when they are
//!   needed and never allocate more than the file justifies. What is wrong is a
//!   [`DiskError`] with file and offset.
//! - [`convert`] is a parallel pipeline that never reads what extents say is zero, and
//!   whose target has its name only once it is complete and on disk. A [`Conversion`] goes
//!   on where a killed one was.
//!
//! # Limits
//! Reads raw, qcow2 (versions 2 and 3, zlib) and VMDK (monolithicSparse, monolithicFlat,
//! twoGbMaxExtentSparse, twoGbMaxExtentFlat, streamOptimized, ESX flat). Writes raw and
//! qcow2 version 3. Images with a backing file, encryption, an external data file or zstd
//! are refused by name.

pub mod bytes;
mod cache;
mod compare;
mod convert;
mod error;
mod folder;
mod foreign;
mod format;
mod image;
mod inflate;
mod map;
mod open;
mod overlay;
pub mod partition;
mod progress;
pub mod qcow2;
mod raw;
mod slice;
pub mod vmdk;

pub use compare::{CompareResult, compare};
pub use convert::{
    Compression, Conversion, ConvertOptions, ConvertReport, Resume, ThreadBudget, convert, discard,
    rename_new,
};
pub use error::DiskError;
pub use folder::{FolderEntry, SourceFile, SourceFolder};
pub use format::Format;
pub use image::{Extent, ExtentKind, ExtentList, ExtentWalk, Image, MAX_EXTENTS};
pub use map::{MapEntry, map};
pub use open::{ImageFile, ImageInfo, OpenImage, open, open_path, probe};
pub use overlay::{BLOCK as OVERLAY_BLOCK, ByteRange, Overlay};
pub use progress::{CancelFlag, NoProgress, Progress};
pub use slice::Slice;
