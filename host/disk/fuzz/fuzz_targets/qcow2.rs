//! qcow2: header, extensions, L1 and L2 tables, compressed clusters.
#![no_main]

use cofferdam_disk::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| cofferdam_disk_fuzz::read(data, Format::Qcow2));
