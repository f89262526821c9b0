//! VMDK descriptors: the text alone, and opened in a folder where some names exist.
#![no_main]

use cofferdam_disk::vmdk::{Descriptor, is_descriptor};
use cofferdam_disk::{SourceFolder, open};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = is_descriptor(data);
    if let Ok(descriptor) = Descriptor::parse(data) {
        let _ = descriptor.size();
    }
    thread_local! {
        static FOLDER: tempfile::TempDir = {
            let folder = cofferdam_disk_fuzz::folder();
            std::fs::create_dir(folder.path().join("d")).expect("a folder");
            std::fs::write(folder.path().join("d/a"), vec![1; 4096]).expect("an extent");
            std::fs::write(folder.path().join("secret"), vec![0x5e; 4096]).expect("a secret");
            folder
        };
    }
    FOLDER.with(|folder| {
        let inner = folder.path().join("d");
        std::fs::write(inner.join("disk"), data).expect("writing the input");
        let source = SourceFolder::open(&inner).expect("opening the folder");
        if let Ok(image) = open(&source, "disk", Some(cofferdam_disk::Format::Vmdk)) {
            for file in image.files() {
                assert!(
                    matches!(file.name(), "a" | "disk") || file.name().starts_with("./"),
                    "opened {}",
                    file.name()
                );
            }
            cofferdam_disk_fuzz::walk(image.as_ref());
        }
    });
});
