//! `cofferdam:guest/findings`: where an inspector records what it found.

use crate::arguments;
use crate::host::{Host, capability};
use cofferdam_contract::bindings::cofferdam::guest::findings;
use cofferdam_contract::services::Findings;
use cofferdam_contract::types::{Error, Kernel, MountPoint, OperatingSystem, Severity};

capability!(
    FindingsCapability,
    "cofferdam:guest/findings@0.1.0",
    cofferdam_contract::bindings::cofferdam::guest::findings
);

/// Refuses a kernel with a path that is none.
fn check_kernel(kernel: &Kernel) -> Result<(), Error> {
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
        Ok(self.service::<dyn Findings>()?.set_operating_system(os))
    }

    async fn add_mount(&mut self, mount: MountPoint) -> wasmtime::Result<Result<(), Error>> {
        let findings = self.service::<dyn Findings>()?;
        Ok(arguments::path(&mount.path).and_then(|()| findings.add_mount(mount)))
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
        Ok(findings.identify_device(device, &kind, uuid, label))
    }

    async fn set_fact(
        &mut self,
        key: String,
        value: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.service::<dyn Findings>()?.set_fact(&key, &value))
    }

    async fn note(
        &mut self,
        severity: Severity,
        message: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.service::<dyn Findings>()?.note(severity, &message))
    }
}
