//! From a file name to an open image: probing, and what is known about an open image.

use crate::folder::{SourceFile, SourceFolder};
use crate::partition::{self, PartitionTable};
use crate::raw::RawImage;
use crate::{DiskError, Extent, Format, Image, qcow2, vmdk};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// A file that an image consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageFile {
    /// Name relative to the image's folder.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
    /// Bytes that it takes on its file system.
    pub allocated: u64,
}

/// What `disk info` shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageInfo {
    /// Path of the file that was opened.
    pub file: String,
    /// Format.
    pub format: Format,
    /// Version or subformat in the format's own words, such as `v3` or `streamOptimized`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Size of the disk in bytes.
    pub virtual_size: u64,
    /// Bytes that all files take on their file system.
    pub allocated: u64,
    /// Unit of allocation in bytes: qcow2 cluster, VMDK grain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_size: Option<u64>,
    /// Every file of the image, the opened one first.
    pub files: Vec<ImageFile>,
    /// Oddities that do not keep the image from being read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The partition table, if the disk has one that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_table: Option<PartitionTable>,
}

/// An image opened from files, always read-only.
pub struct OpenImage {
    driver: Box<dyn Image>,
    format: Format,
    variant: Option<String>,
    cluster_size: Option<u64>,
    files: Vec<Arc<SourceFile>>,
    warnings: Vec<String>,
}

/// What a format's opener hands back.
pub(crate) struct Opened {
    pub(crate) driver: Box<dyn Image>,
    pub(crate) variant: Option<String>,
    pub(crate) cluster_size: Option<u64>,
    /// Further files; the one that was opened is not among them.
    pub(crate) more_files: Vec<Arc<SourceFile>>,
    pub(crate) warnings: Vec<String>,
}

/// Tells the format of a file by its content, never by its name. What has no known
/// magic is raw; containers that are not read are told from raw disks and refused.
///
/// # Errors
/// [`DiskError::Unsupported`] for a known container.
/// As [`SourceFolder::open_file`], and [`DiskError::Io`] while reading the first bytes.
pub fn probe(folder: &SourceFolder, name: &str) -> Result<Format, DiskError> {
    probe_file(&folder.open_file(name)?)
}

fn probe_file(file: &SourceFile) -> Result<Format, DiskError> {
    let head = file.read_vec(0, file.size().min(64 * 1024), "the first bytes")?;
    Ok(if qcow2::probe(&head) {
        Format::Qcow2
    } else if vmdk::probe(&head) {
        Format::Vmdk
    } else {
        crate::foreign::refuse(file, &head)?;
        Format::Raw
    })
}

/// Opens the image `name` in `folder`, read-only. Without `format` it is probed.
///
/// Only files inside `folder` are opened, whatever the image names; nothing proportional
/// to the virtual size is allocated.
///
/// # Errors
/// Every malformed or unsupported image is a [`DiskError`] that names file and offset.
pub fn open(
    folder: &SourceFolder,
    name: &str,
    format: Option<Format>,
) -> Result<Arc<OpenImage>, DiskError> {
    let file = Arc::new(folder.open_file(name)?);
    let format = match format {
        Some(format) => format,
        None => probe_file(&file)?,
    };
    let opened = match format {
        Format::Raw => Opened {
            driver: Box::new(RawImage::new(Arc::clone(&file))),
            variant: None,
            cluster_size: None,
            more_files: Vec::new(),
            warnings: Vec::new(),
        },
        Format::Qcow2 => qcow2::open(Arc::clone(&file))?,
        Format::Vmdk => vmdk::open(folder, Arc::clone(&file))?,
    };
    let mut files = vec![file];
    files.extend(opened.more_files);
    Ok(Arc::new(OpenImage {
        driver: opened.driver,
        format,
        variant: opened.variant,
        cluster_size: opened.cluster_size,
        files,
        warnings: opened.warnings,
    }))
}

/// Opens the image at a path that the operator named: its folder becomes the
/// [`SourceFolder`].
///
/// # Errors
/// As [`SourceFolder::of_file`] and [`open`].
pub fn open_path(
    path: impl AsRef<Path>,
    format: Option<Format>,
) -> Result<Arc<OpenImage>, DiskError> {
    let (folder, name) = SourceFolder::of_file(path)?;
    open(&folder, &name, format)
}

impl OpenImage {
    /// The format it was opened as.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Every file that the image consists of, the opened one first, in the order of the
    /// disk, each once. Their names, sizes and content are the identity of the source.
    #[must_use]
    pub fn files(&self) -> &[Arc<SourceFile>] {
        &self.files
    }

    /// Says which files these are and whether they were changed since: what a conversion
    /// that goes on ([`crate::Resume`]) compares. Reads nothing of their content.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn identity(&self) -> Result<String, DiskError> {
        let files = self.files.iter().map(|file| file.identity());
        Ok(files.collect::<Result<Vec<_>, _>>()?.join(" "))
    }

    /// Oddities that do not keep the image from being read.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// All that is known, the partition table included. A table that cannot be read is
    /// a warning here, because the disk itself can.
    #[must_use]
    pub fn info(&self) -> ImageInfo {
        let mut warnings = self.warnings.clone();
        let partition_table = partition::read(self).unwrap_or_else(|error| {
            warnings.push(error.to_string());
            None
        });
        let files: Vec<ImageFile> = self
            .files
            .iter()
            .map(|file| ImageFile {
                name: file.name().to_owned(),
                size: file.size(),
                allocated: file.allocated(),
            })
            .collect();
        ImageInfo {
            file: self.driver.name(),
            format: self.format,
            variant: self.variant.clone(),
            virtual_size: self.size(),
            allocated: files
                .iter()
                .fold(0, |sum, file| file.allocated.saturating_add(sum)),
            cluster_size: self.cluster_size,
            files,
            warnings,
            partition_table,
        }
    }
}

impl Image for OpenImage {
    fn name(&self) -> String {
        self.driver.name()
    }

    fn size(&self) -> u64 {
        self.driver.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.driver.read_at(offset, buf)
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>, DiskError> {
        self.driver.extents(offset, length)
    }
}
