//! What a plugin is given: ordinary things, hostile ones, and its own cases.

use crate::examine::KitError;
use crate::host::device::Device;
use cofferdam_contract::kinds::Kind;
use cofferdam_sdk::testing::{
    Case, InspectorCase, MemoryFiles, MemoryGuest, SourceCase, StepCase, case_folders,
};
use cofferdam_sdk::types::{BlockDevice, MountPoint, OperatingSystem};
use std::path::Path;

/// One thing that a plugin is given.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What it is, for people.
    pub name: String,
    pub(crate) given: Given,
}

/// How it is made.
#[derive(Debug, Clone)]
pub(crate) enum Given {
    /// No files, no trees, no such file.
    Nothing,
    /// A small Linux guest; a file of zeros.
    Ordinary,
    /// The same, and no read succeeds.
    Unreadable,
    /// A block device.
    Device(Device),
    /// The input of a step.
    Input(String),
    /// A case of a fixer.
    Fixer(Box<Case>),
    /// A case of an inspector.
    Inspector(Box<InspectorCase>),
    /// A case of a disk source.
    Source(Box<SourceCase>),
    /// A case of a workflow step.
    Step(Box<StepCase>),
}

impl Scenario {
    fn new(name: &str, given: Given) -> Self {
        Self {
            name: name.to_owned(),
            given,
        }
    }
}

/// What every plugin of a kind is given; the first is the most ordinary.
pub(crate) fn of_kind(kind: Kind) -> Vec<Scenario> {
    match kind {
        Kind::Fixer | Kind::Inspector => vec![
            Scenario::new("a small Linux guest", Given::Ordinary),
            Scenario::new("a guest without files", Given::Nothing),
            Scenario::new("a guest that cannot be read", Given::Unreadable),
        ],
        Kind::DiskSource => vec![
            Scenario::new("a file of zeros", Given::Ordinary),
            Scenario::new("a file that is not there", Given::Nothing),
            Scenario::new("a file that cannot be read", Given::Unreadable),
        ],
        Kind::Filesystem => vec![
            Scenario::new("a device of zeros", Given::Device(Device::Zeros)),
            Scenario::new("a device of noise", Given::Device(Device::Noise)),
            Scenario::new(
                "a device that cannot be read",
                Given::Device(Device::Unreadable),
            ),
        ],
        Kind::WorkflowStep => inputs(),
    }
}

/// Inputs that no workflow's author means, and that reach a step all the same.
fn inputs() -> Vec<Scenario> {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let inputs = [
        ("an empty input", "{}".to_owned()),
        (
            "an input with a key that nobody knows",
            r#"{"conformance-kit":1}"#.to_owned(),
        ),
        ("an input that is no object", "[]".to_owned()),
        ("an input of null", "null".to_owned()),
        ("an input that is no JSON", "{".to_owned()),
        ("an empty text as input", String::new()),
        ("an input that nests deeply", format!("{{\"a\":{deep}}}")),
    ];
    inputs
        .into_iter()
        .map(|(name, input)| Scenario::new(name, Given::Input(input)))
        .collect()
}

/// The cases of a folder, as scenarios of a kind; none where the kind has none.
pub(crate) fn cases(kind: Kind, folder: &Path) -> Result<Vec<Scenario>, KitError> {
    let read = |error: cofferdam_sdk::Error| KitError::Cases(error.to_string());
    let make = |case: &Path| -> Result<Option<Given>, KitError> {
        Ok(Some(match kind {
            Kind::Fixer => Given::Fixer(Box::new(Case::load(case).map_err(read)?)),
            Kind::Inspector => Given::Inspector(Box::new(InspectorCase::load(case).map_err(read)?)),
            Kind::DiskSource => Given::Source(Box::new(SourceCase::load(case).map_err(read)?)),
            Kind::WorkflowStep => Given::Step(Box::new(StepCase::load(case).map_err(read)?)),
            Kind::Filesystem => return Ok(None),
        }))
    };
    let mut scenarios = Vec::new();
    for case in case_folders(folder).map_err(read)? {
        let name = case.file_name().unwrap_or_default().to_string_lossy();
        if let Some(given) = make(&case)? {
            scenarios.push(Scenario::new(&format!("its case {name}"), given));
        }
    }
    Ok(scenarios)
}

/// The files of a small Linux guest.
pub(crate) fn small_linux() -> MemoryFiles {
    let mut files = MemoryFiles::new();
    for (path, text) in [
        ("/etc/fstab", "/dev/sda1 / ext4 defaults 0 1\n"),
        ("/etc/hostname", "web\n"),
        ("/etc/motd", "Welcome.\n"),
        (
            "/etc/os-release",
            "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n",
        ),
        ("/usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\n"),
        ("/boot/grub/device.map", "(hd0) /dev/sda\n"),
    ] {
        files.add_file(path, text.as_bytes());
    }
    files
}

/// The disk of the small guest, and its only partition.
pub(crate) fn small_devices() -> Vec<BlockDevice> {
    let disk = BlockDevice {
        size: 1 << 30,
        old_names: vec!["/dev/sda".to_owned()],
        ..BlockDevice::default()
    };
    let partition = BlockDevice {
        index: 1,
        partition: Some(1),
        offset: 1 << 20,
        size: (1 << 30) - (1 << 20),
        kind: Some("ext4".to_owned()),
        uuid: Some("3d1c4c6e-6f2e-4a4c-9a0e-0d4b7a1c0001".to_owned()),
        old_names: vec!["/dev/sda1".to_owned()],
        ..BlockDevice::default()
    };
    vec![disk, partition]
}

/// The small guest as fixers see it.
pub(crate) fn small_guest() -> MemoryGuest {
    let mut guest = MemoryGuest::new();
    guest.files = small_linux();
    guest.facts.devices = small_devices();
    guest.facts.mounts = vec![MountPoint {
        path: "/".to_owned(),
        device: 1,
        options: String::new(),
    }];
    guest.facts.os = OperatingSystem {
        kind: "linux".to_owned(),
        distribution: "debian".to_owned(),
        version: "12".to_owned(),
        name: "Debian GNU/Linux 12".to_owned(),
        architecture: "x86_64".to_owned(),
    };
    guest
}
