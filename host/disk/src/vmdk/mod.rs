//! VMDK: VMware's disk images.
//!
//! A VMDK is either one binary file that begins with a sparse header (monolithicSparse,
//! streamOptimized), or a text descriptor that names the files the disk is made of
//! (monolithicFlat, twoGbMaxExtentFlat, twoGbMaxExtentSparse, and the flat files of ESX).
//! Both end up as a list of segments.
//!
//! Source: VMware's "Virtual Disk Format 5.0" technical note.
//!
//! Limits: snapshots (a parent) are refused by name, as are ESX delta disks (COWD,
//! SESPARSE) and raw device mappings.

mod descriptor;
mod header;
mod sparse;

use crate::folder::{SourceFile, SourceFolder};
use crate::image::{ExtentList, check_range};
use crate::open::Opened;
use crate::raw::push_file_extents;
use crate::{DiskError, Extent, ExtentKind, Image};
use std::collections::HashMap;
use std::sync::Arc;

pub use descriptor::{Descriptor, DescriptorError, ExtentLine, ExtentSource, is_descriptor};
use header::{COWD_MAGIC, Header, MAGIC};
use sparse::SparseExtent;

/// Whether the first bytes of a file are a VMDK's.
pub(crate) fn probe(head: &[u8]) -> bool {
    head.starts_with(MAGIC) || head.starts_with(COWD_MAGIC) || is_descriptor(head)
}

/// Opens the VMDK whose first file is `file`.
pub(crate) fn open(folder: &SourceFolder, file: Arc<SourceFile>) -> Result<Opened, DiskError> {
    let magic = file.read_vec(0, file.size().min(4), "the first bytes")?;
    if magic == MAGIC {
        return open_monolithic(file);
    }
    if magic == COWD_MAGIC {
        return Err(file.unsupported("a COWD delta disk of ESX"));
    }
    if file.size() > descriptor::MAX_DESCRIPTOR {
        return Err(file.corrupt(0, "neither a sparse VMDK nor a descriptor"));
    }
    let text = file.read_vec(0, file.size(), "the descriptor")?;
    if !is_descriptor(&text) {
        return Err(file.corrupt(0, "neither a sparse VMDK nor a descriptor"));
    }
    let descriptor = parse(&file, 0, &text)?;
    if descriptor.extents.is_empty() {
        return Err(file.corrupt(0, "the descriptor has no extents"));
    }
    open_extents(folder, &file, descriptor)
}

/// Parses a descriptor found at byte `at` of `file` and refuses one with a parent.
fn parse(file: &SourceFile, at: u64, text: &[u8]) -> Result<Descriptor, DiskError> {
    let descriptor = Descriptor::parse(text)
        .map_err(|error| file.corrupt(at.saturating_add(error.at), error.what))?;
    if let Some(backing) = descriptor.parent {
        return Err(DiskError::BackingFile {
            file: file.path(),
            backing,
        });
    }
    Ok(descriptor)
}

/// Opens a sparse file that is a whole disk.
fn open_monolithic(file: Arc<SourceFile>) -> Result<Opened, DiskError> {
    let header = Header::read(&file)?;
    let mut warnings = Vec::new();
    let variant = match header.descriptor {
        Some((at, length)) => {
            let text = file.read_vec(at, length, "the embedded descriptor")?;
            Some(parse(&file, at, &text)?.create_type).filter(|name| !name.is_empty())
        }
        None => {
            warnings.push(format!(
                "{} has no descriptor of its own: it may be only a part of a disk, then open that disk's descriptor instead",
                file.path()
            ));
            None
        }
    };
    let (grain, capacity) = (header.grain, header.capacity);
    let extent = SparseExtent::open(Arc::clone(&file), header)?;
    let segment = Segment {
        start: 0,
        length: capacity,
        source: SegmentSource::Sparse(Box::new(extent)),
    };
    Ok(Opened {
        driver: Box::new(VmdkImage {
            file,
            size: capacity,
            segments: vec![segment],
        }),
        variant,
        cluster_size: Some(grain),
        more_files: Vec::new(),
        warnings,
    })
}

/// Opens the files that a descriptor names.
fn open_extents(
    folder: &SourceFolder,
    file: &Arc<SourceFile>,
    descriptor: Descriptor,
) -> Result<Opened, DiskError> {
    let size = descriptor
        .size()
        .ok_or_else(|| file.corrupt(0, "the extents together exceed 64 bits"))?;
    let mut opened: HashMap<String, Arc<SourceFile>> = HashMap::new();
    let mut more_files = Vec::new();
    let mut used: HashMap<String, u64> = HashMap::new();
    let mut warnings = Vec::new();
    let mut cluster_size = None;
    let mut segments = Vec::new();
    let mut start = 0u64;
    // Names are relative to the descriptor.
    let base = match file.name().rsplit_once('/') {
        Some((base, _)) => format!("{base}/"),
        None => String::new(),
    };
    let mut open_file = |name: &str| -> Result<Arc<SourceFile>, DiskError> {
        // An absolute name must stay one, to be refused.
        let name = if name.starts_with('/') {
            name.to_owned()
        } else {
            format!("{base}{name}")
        };
        if let Some(file) = opened.get(&name) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(folder.open_file(&name)?);
        opened.insert(name, Arc::clone(&file));
        more_files.push(Arc::clone(&file));
        Ok(file)
    };
    for line in descriptor.extents {
        let source = match line.source {
            ExtentSource::Zero => SegmentSource::Zero,
            ExtentSource::Flat { file: name, offset } => {
                let extent = open_file(&name)?;
                let end = offset.saturating_add(line.length);
                if end > extent.size() {
                    return Err(extent.truncated(offset, line.length, "an extent of the disk"));
                }
                let used = used.entry(name).or_default();
                *used = end.max(*used);
                SegmentSource::Flat {
                    file: extent,
                    offset,
                }
            }
            ExtentSource::Sparse { file: name } => {
                let extent = open_file(&name)?;
                let header = Header::read(&extent)?;
                if header.capacity < line.length {
                    return Err(extent.corrupt(
                        header::CAPACITY_AT,
                        format!(
                            "the extent holds {} bytes of the disk, its descriptor says {}",
                            header.capacity, line.length
                        ),
                    ));
                }
                if header.capacity > line.length {
                    warnings.push(longer(&extent, header.capacity, line.length));
                }
                cluster_size = cluster_size.or(Some(header.grain));
                SegmentSource::Sparse(Box::new(SparseExtent::open(extent, header)?))
            }
            ExtentSource::Other(kind) => {
                return Err(file.unsupported(format!("an extent of type {kind}")));
            }
        };
        segments.push(Segment {
            start,
            length: line.length,
            source,
        });
        start = start.saturating_add(line.length);
    }
    for extent in &more_files {
        let declared = used
            .iter()
            .find(|(name, _)| format!("{base}{name}") == extent.name());
        if let Some((_, end)) = declared
            && *end < extent.size()
        {
            warnings.push(longer(extent, extent.size(), *end));
        }
    }
    Ok(Opened {
        driver: Box::new(VmdkImage {
            file: Arc::clone(file),
            size,
            segments,
        }),
        variant: Some(descriptor.create_type).filter(|name| !name.is_empty()),
        cluster_size,
        more_files,
        warnings,
    })
}

fn longer(file: &SourceFile, actual: u64, declared: u64) -> String {
    format!(
        "{} holds {actual} bytes, the descriptor declares {declared}; the rest is ignored",
        file.path()
    )
}

/// A part of the disk and where it is stored.
struct Segment {
    start: u64,
    length: u64,
    source: SegmentSource,
}

enum SegmentSource {
    Flat { file: Arc<SourceFile>, offset: u64 },
    Sparse(Box<SparseExtent>),
    Zero,
}

/// A disk made of segments, ascending and without gaps.
struct VmdkImage {
    file: Arc<SourceFile>,
    size: u64,
    segments: Vec<Segment>,
}

impl VmdkImage {
    /// The segments that overlap `start..end`, with the overlap as offset within the
    /// segment and length.
    fn overlaps(&self, start: u64, end: u64) -> impl Iterator<Item = (&Segment, u64, u64)> {
        let first = self
            .segments
            .partition_point(|segment| segment.start.saturating_add(segment.length) <= start);
        self.segments
            .get(first..)
            .unwrap_or_default()
            .iter()
            .take_while(move |segment| segment.start < end)
            .map(move |segment| {
                let from = start.max(segment.start).saturating_sub(segment.start);
                let to = end.saturating_sub(segment.start).min(segment.length);
                (segment, from, to.saturating_sub(from))
            })
    }
}

impl Image for VmdkImage {
    fn name(&self) -> String {
        self.file.path()
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, mut buf: &mut [u8]) -> Result<(), DiskError> {
        let end = check_range(self, offset, buf.len() as u64)?;
        for (segment, from, length) in self.overlaps(offset, end) {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let Some((part, rest)) = buf.split_at_mut_checked(length) else {
                break;
            };
            match &segment.source {
                SegmentSource::Zero => part.fill(0),
                SegmentSource::Flat { file, offset } => {
                    file.read_at(offset.saturating_add(from), part, "the data of the disk")?;
                }
                SegmentSource::Sparse(extent) => extent.read_at(from, part)?,
            }
            buf = rest;
        }
        Ok(())
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>, DiskError> {
        let end = check_range(self, offset, length)?;
        let mut list = ExtentList::new();
        for (segment, from, length) in self.overlaps(offset, end) {
            let guest = segment.start.saturating_add(from);
            let more = match &segment.source {
                SegmentSource::Zero => list.push(guest, length, ExtentKind::Zero),
                SegmentSource::Flat { file, offset } => push_file_extents(
                    file,
                    &mut list,
                    offset.saturating_add(from),
                    guest,
                    guest.saturating_add(length),
                ),
                SegmentSource::Sparse(extent) => {
                    extent.push_extents(&mut list, segment.start, from, length)?
                }
            };
            if !more {
                break;
            }
        }
        Ok(list.finish())
    }
}
