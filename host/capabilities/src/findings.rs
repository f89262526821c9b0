//! `cofferdam:guest/findings`: where an inspector records what it found.

use crate::arguments::{self, MOST_NOTE, MOST_WORDS};
use crate::host::{Host, capability};
use cofferdam_contract::bindings::cofferdam::guest::findings;
use cofferdam_contract::services::Findings;
use cofferdam_contract::types::{Error, Kernel, MountPoint, OperatingSystem, Severity};

capability!(
    FindingsCapability,
    "cofferdam:guest/findings@0.1.0",
    cofferdam_contract::bindings::cofferdam::guest::findings
);

/// The longest value of a fact.
const MOST_FACT: usize = 64 << 10;

fn check_operating_system(os: &OperatingSystem) -> Result<(), Error> {
    let texts = [
        os.kind.as_str(),
        &os.distribution,
        &os.version,
        &os.name,
        &os.architecture,
    ];
    arguments::texts("a text about the operating system", &texts, MOST_WORDS)
}

/// Refuses a mount whose path is none.
fn check_mount(mount: &MountPoint) -> Result<(), Error> {
    arguments::path(&mount.path)?;
    arguments::texts("the mount's options", &[&mount.options], MOST_NOTE)
}

/// Refuses a kernel with a path that is none.
fn check_kernel(kernel: &Kernel) -> Result<(), Error> {
    arguments::texts("the kernel's release", &[&kernel.version], MOST_WORDS)?;
    arguments::path(&kernel.image)?;
    for path in [&kernel.initrd, &kernel.modules].into_iter().flatten() {
        arguments::path(path)?;
    }
    Ok(())
}

impl findings::Host for Host<'_> {
    async fn set_operating_system(
        &mut self,
        os: OperatingSystem,
    ) -> wasmtime::Result<Result<(), Error>> {
        let findings = self.service::<dyn Findings>()?;
        Ok(check_operating_system(&os).and_then(|()| findings.set_operating_system(os)))
    }

    async fn add_mount(&mut self, mount: MountPoint) -> wasmtime::Result<Result<(), Error>> {
        let findings = self.service::<dyn Findings>()?;
        Ok(check_mount(&mount).and_then(|()| findings.add_mount(mount)))
    }

    async fn add_kernel(&mut self, kernel: Kernel) -> wasmtime::Result<Result<(), Error>> {
        let findings = self.service::<dyn Findings>()?;
        Ok(check_kernel(&kernel).and_then(|()| findings.add_kernel(kernel)))
    }

    async fn identify_device(
        &mut self,
        device: u32,
        kind: String,
        uuid: Option<String>,
        label: Option<String>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let findings = self.service::<dyn Findings>()?;
        let texts = [
            kind.as_str(),
            uuid.as_deref().unwrap_or_default(),
            label.as_deref().unwrap_or_default(),
        ];
        Ok(
            arguments::texts("a text about the device", &texts, MOST_WORDS).and_then(|()| {
                findings.identify_device(device, &kind, uuid.clone(), label.clone())
            }),
        )
    }

    async fn set_fact(
        &mut self,
        key: String,
        value: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let findings = self.service::<dyn Findings>()?;
        Ok(arguments::texts("the fact's key", &[&key], MOST_WORDS)
            .and_then(|()| arguments::texts("the fact", &[&value], MOST_FACT))
            .and_then(|()| findings.set_fact(&key, &value)))
    }

    async fn note(
        &mut self,
        severity: Severity,
        message: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let findings = self.service::<dyn Findings>()?;
        Ok(arguments::texts("a remark", &[&message], MOST_NOTE)
            .and_then(|()| findings.note(severity, &message)))
    }
}
