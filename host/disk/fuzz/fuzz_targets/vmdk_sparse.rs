//! VMDK sparse extents: header, footer, grain directory and tables, compressed grains.
#![no_main]

use cofferdam_disk::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| cofferdam_disk_fuzz::read(data, Format::Vmdk));
