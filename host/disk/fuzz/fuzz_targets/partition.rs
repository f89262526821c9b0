//! Partition tables: MBR with chains of logical partitions, GPT with backup.
#![no_main]

use cofferdam_disk::{DiskError, Extent, ExtentKind, Image, partition};
use libfuzzer_sys::fuzz_target;

/// The input as a disk.
struct Disk<'a>(&'a [u8]);

impl Image for Disk<'_> {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let at = usize::try_from(offset).expect("an offset within the input");
        buf.copy_from_slice(
            self.0
                .get(at..at + buf.len())
                .expect("a read within the disk"),
        );
        Ok(())
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>, DiskError> {
        Ok(vec![Extent {
            offset,
            length,
            kind: ExtentKind::Data,
        }])
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(Some(table)) = partition::read(&Disk(data)) {
        for partition in &table.partitions {
            let inside = partition.start.saturating_add(partition.length) <= data.len() as u64;
            assert!(
                inside || !table.warnings.is_empty(),
                "a partition beyond the end, unsaid"
            );
        }
    }
});
