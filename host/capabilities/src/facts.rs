//! `cofferdam:guest/facts`: what is known beside the files.

use crate::host::{Host, capability};
use cofferdam_contract::bindings::cofferdam::guest::facts;
use cofferdam_contract::services::Facts;
use cofferdam_contract::types::{
    BlockDevice, Kernel, MountPoint, Nic, OperatingSystem, TargetMachine,
};

capability!(
    FactsCapability,
    "cofferdam:guest/facts@0.1.0",
    cofferdam_contract::bindings::cofferdam::guest::facts
);

impl facts::Host for Host<'_> {
    async fn os(&mut self) -> wasmtime::Result<OperatingSystem> {
        Ok(self.service::<Facts>()?.operating_system.clone())
    }

    async fn devices(&mut self) -> wasmtime::Result<Vec<BlockDevice>> {
        Ok(self.service::<Facts>()?.devices.clone())
    }

    async fn mounts(&mut self) -> wasmtime::Result<Vec<MountPoint>> {
        Ok(self.service::<Facts>()?.mounts.clone())
    }

    async fn kernels(&mut self) -> wasmtime::Result<Vec<Kernel>> {
        Ok(self.service::<Facts>()?.kernels.clone())
    }

    async fn nics(&mut self) -> wasmtime::Result<Vec<Nic>> {
        Ok(self.service::<Facts>()?.nics.clone())
    }

    async fn firmware(&mut self) -> wasmtime::Result<String> {
        Ok(self.service::<Facts>()?.firmware.clone())
    }

    async fn target(&mut self) -> wasmtime::Result<TargetMachine> {
        Ok(self.service::<Facts>()?.target.clone())
    }

    async fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.service::<Facts>()?.other.get(&key).cloned())
    }
}
