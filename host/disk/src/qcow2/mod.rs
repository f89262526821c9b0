//! qcow2, versions 2 and 3: QEMU's copy-on-write format.
//!
//! Source: `docs/interop/qcow2.txt` of QEMU.
//!
//! A guest offset is looked up in two levels: the L1 table, read at opening (the file's
//! length bounds it), and L2 tables, loaded when they are needed. Snapshots inside the
//! image do not matter for reading: the active state is what the header's L1 table says.
//!
//! Limits: zlib compression only. Refused by name: a backing file of any kind,
//! encryption, an external data file, extended L2 entries, unknown incompatible features.

mod header;
mod table;

use crate::bytes;
use crate::cache::TableCache;
use crate::folder::SourceFile;
use crate::image::{ExtentList, check_range};
use crate::inflate::{self, Workspace, Workspaces};
use crate::open::Opened;
use crate::{DiskError, Extent, Image};
use header::Header;
use std::sync::Arc;
use table::{Cluster, Tables};

/// Whether the first bytes of a file are a qcow2's.
pub(crate) fn probe(head: &[u8]) -> bool {
    head.starts_with(header::MAGIC)
}

/// Opens the qcow2 image in `file`.
pub(crate) fn open(file: Arc<SourceFile>) -> Result<Opened, DiskError> {
    let header = Header::read(&file)?;
    let cluster_size = header.cluster_size;
    let variant = Some(format!("v{}", header.version));
    let warnings = header.warnings.clone();
    let tables = Tables::open(Arc::clone(&file), header)?;
    let clusters = usize::try_from(cluster_size).unwrap_or(65536);
    Ok(Opened {
        driver: Box::new(Qcow2Image {
            file,
            tables,
            clusters: TableCache::new(CLUSTER_BYTES, clusters),
            workspaces: Workspaces::default(),
        }),
        variant,
        cluster_size: Some(cluster_size),
        more_files: Vec::new(),
        warnings,
    })
}

/// Bytes of inflated clusters that are kept for reads smaller than a cluster.
const CLUSTER_BYTES: usize = 2 << 20;

struct Qcow2Image {
    file: Arc<SourceFile>,
    tables: Tables,
    clusters: TableCache,
    workspaces: Workspaces,
}

/// Compressed data of a whole cluster that a request wants.
#[derive(Debug, Clone, Copy)]
struct Stored {
    /// Byte in the file.
    at: u64,
    /// The most bytes that it takes; the entry counts sectors.
    length: u64,
    /// Where the cluster goes in the buffer of the request.
    into: usize,
}

impl Qcow2Image {
    /// Fetches the compressed clusters of a run with one read and inflates each.
    fn inflate_run(
        &self,
        run: &[Stored],
        buf: &mut [u8],
        workspace: &mut Workspace,
    ) -> Result<(), DiskError> {
        let Some(first) = run.first() else {
            return Ok(());
        };
        let end = run
            .iter()
            .map(|stored| stored.at.saturating_add(stored.length))
            .max()
            .unwrap_or(first.at)
            .min(self.file.size());
        let length = usize::try_from(end.saturating_sub(first.at)).unwrap_or(0);
        let Workspace {
            decompressor,
            input,
        } = workspace;
        let fetched = inflate::at_least(input, length);
        self.file
            .read_at(first.at, fetched, "compressed clusters")?;
        let cluster = usize::try_from(self.tables.header().cluster_size).unwrap_or(0);
        for stored in run {
            let from = usize::try_from(stored.at.saturating_sub(first.at)).unwrap_or(usize::MAX);
            let rest = fetched.get(from..).unwrap_or_default();
            let data = rest
                .get(..usize::try_from(stored.length).unwrap_or(usize::MAX))
                .unwrap_or(rest);
            let output = bytes::slice_mut(buf, stored.into, cluster).unwrap_or_default();
            let corrupt = |what: String| self.file.corrupt(stored.at, what);
            let inflated = decompressor
                .deflate_decompress(data, output)
                .map_err(|error| match error {
                    libdeflater::DecompressionError::InsufficientSpace => {
                        corrupt(format!("the cluster inflates beyond {cluster} bytes"))
                    }
                    libdeflater::DecompressionError::BadData => {
                        corrupt("the compressed data of the cluster is damaged".to_owned())
                    }
                })?;
            if inflated != cluster {
                return Err(corrupt(format!(
                    "the cluster inflates to {inflated} bytes, not to {cluster}"
                )));
            }
        }
        Ok(())
    }

    /// Reads part of a compressed cluster, and keeps the rest for the next small read.
    fn read_part(&self, stored: Stored, skip: u64, part: &mut [u8]) -> Result<(), DiskError> {
        let whole = usize::try_from(self.tables.header().cluster_size).unwrap_or(0);
        let kept = self.clusters.get(stored.at, || {
            let mut bytes = vec![0; whole];
            let stored = Stored { into: 0, ..stored };
            self.workspaces
                .with(|workspace| self.inflate_run(&[stored], &mut bytes, workspace))?;
            Ok::<_, DiskError>(bytes)
        })?;
        let from = usize::try_from(skip).unwrap_or(usize::MAX);
        if let Some(bytes) = bytes::slice(&kept, from, part.len()) {
            part.copy_from_slice(bytes);
        }
        Ok(())
    }

    /// Reads what of a request is stored in one place.
    fn finish(&self, pending: Pending, buf: &mut [u8]) -> Result<(), DiskError> {
        match pending {
            Pending::Nothing => Ok(()),
            Pending::Plain { at, into, length } => {
                let part = bytes::slice_mut(buf, into, length).unwrap_or_default();
                self.file.read_at(at, part, "data clusters")
            }
            Pending::Compressed(run) => self
                .workspaces
                .with(|workspace| self.inflate_run(&run, buf, workspace)),
        }
    }
}

/// What is collected before it is read at once.
enum Pending {
    Nothing,
    /// Bytes that follow each other in the file and in the buffer.
    Plain {
        at: u64,
        into: usize,
        length: usize,
    },
    /// Compressed clusters that lie near each other, ascending.
    Compressed(Vec<Stored>),
}

impl Image for Qcow2Image {
    fn name(&self) -> String {
        self.file.path()
    }

    fn size(&self) -> u64 {
        self.tables.header().size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        check_range(self, offset, buf.len() as u64)?;
        let size = self.tables.header().cluster_size;
        let mut pending = Pending::Nothing;
        let mut into = 0;
        while into < buf.len() {
            let at = offset.saturating_add(into as u64);
            let skip = at % size;
            let rest = buf.len().saturating_sub(into);
            let length = usize::try_from(size.saturating_sub(skip)).map_or(rest, |n| n.min(rest));
            let part = bytes::slice_mut(buf, into, length).unwrap_or_default();
            match self.tables.lookup(at / size)? {
                Cluster::Hole | Cluster::Zero => part.fill(0),
                Cluster::Data(place) => {
                    let place = place.saturating_add(skip);
                    match &mut pending {
                        Pending::Plain {
                            at,
                            into: first,
                            length: so_far,
                        } if at.saturating_add(*so_far as u64) == place
                            && first.saturating_add(*so_far) == into =>
                        {
                            *so_far = so_far.saturating_add(length);
                        }
                        _ => {
                            let next = Pending::Plain {
                                at: place,
                                into,
                                length,
                            };
                            self.finish(std::mem::replace(&mut pending, next), buf)?;
                        }
                    }
                }
                Cluster::Compressed {
                    at,
                    length: stored_length,
                } => {
                    let stored = Stored {
                        at,
                        length: stored_length,
                        into,
                    };
                    if (length as u64) < size {
                        self.read_part(stored, skip, part)?;
                    } else if let Pending::Compressed(run) = &mut pending
                        && continues(run, at, size)
                    {
                        run.push(stored);
                    } else {
                        let next = Pending::Compressed(vec![stored]);
                        self.finish(std::mem::replace(&mut pending, next), buf)?;
                    }
                }
            }
            into = into.saturating_add(length);
        }
        self.finish(pending, buf)
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>, DiskError> {
        let end = check_range(self, offset, length)?;
        let mut list = ExtentList::new();
        self.tables.push_extents(&mut list, offset, end)?;
        Ok(list.finish())
    }
}

/// Whether compressed data at byte `at` can be fetched together with the run.
fn continues(run: &[Stored], at: u64, cluster_size: u64) -> bool {
    let (Some(first), Some(last)) = (run.first(), run.last()) else {
        return true;
    };
    at >= last.at
        && at.saturating_sub(last.at) <= cluster_size.saturating_mul(2)
        && at.saturating_sub(first.at) < inflate::MAX_RUN
}
