//! `cofferdam:disk/devices`: the block devices of one instance.

use crate::arguments::{self, MOST_BYTES, MOST_EXTENTS};
use crate::host::{Host, capability};
use cofferdam_contract::bindings::cofferdam::disk::devices;
use cofferdam_contract::services::Devices;
use cofferdam_contract::types::{DeviceInfo, Error, ErrorCode, Extent};

capability!(
    DevicesCapability,
    "cofferdam:disk/devices@0.1.0",
    cofferdam_contract::bindings::cofferdam::disk::devices
);

/// The device's information, where the range is inside it.
fn in_range(
    devices: &dyn Devices,
    device: u32,
    offset: u64,
    length: u64,
) -> Result<DeviceInfo, Error> {
    let info = devices.info(device)?;
    match offset.checked_add(length) {
        Some(end) if end <= info.size => Ok(info),
        _ => Err(Error::invalid(format!(
            "{length} bytes at {offset} go beyond the end of device {device}, which has {} bytes",
            info.size
        ))),
    }
}

async fn read(
    devices: &dyn Devices,
    device: u32,
    offset: u64,
    length: u32,
) -> Result<Vec<u8>, Error> {
    arguments::length(length as usize, MOST_BYTES as usize)?;
    in_range(devices, device, offset, u64::from(length))?;
    devices.read_at(device, offset, length).await
}

async fn write(devices: &dyn Devices, device: u32, offset: u64, bytes: &[u8]) -> Result<(), Error> {
    arguments::length(bytes.len(), MOST_BYTES as usize)?;
    let info = in_range(devices, device, offset, bytes.len() as u64)?;
    if info.read_only {
        return Err(Error::new(
            ErrorCode::Denied,
            format!("device {device} is read-only"),
        ));
    }
    devices.write_at(device, offset, bytes).await
}

async fn extents(
    devices: &dyn Devices,
    device: u32,
    offset: u64,
    length: u64,
) -> Result<Vec<Extent>, Error> {
    in_range(devices, device, offset, length)?;
    let mut extents = devices.extents(device, offset, length).await?;
    extents.truncate(MOST_EXTENTS);
    Ok(extents)
}

impl devices::Host for Host<'_> {
    async fn count(&mut self) -> wasmtime::Result<u32> {
        Ok(self.service::<dyn Devices>()?.count())
    }

    async fn info(&mut self, device: u32) -> wasmtime::Result<Result<DeviceInfo, Error>> {
        Ok(self.service::<dyn Devices>()?.info(device))
    }

    async fn read_at(
        &mut self,
        device: u32,
        offset: u64,
        length: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let devices = self.service::<dyn Devices>()?;
        Ok(read(&*devices, device, offset, length).await)
    }

    async fn write_at(
        &mut self,
        device: u32,
        offset: u64,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let devices = self.service::<dyn Devices>()?;
        Ok(write(&*devices, device, offset, &bytes).await)
    }

    async fn flush(&mut self, device: u32) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.service::<dyn Devices>()?.flush(device).await)
    }

    async fn extents(
        &mut self,
        device: u32,
        offset: u64,
        length: u64,
    ) -> wasmtime::Result<Result<Vec<Extent>, Error>> {
        let devices = self.service::<dyn Devices>()?;
        Ok(extents(&*devices, device, offset, length).await)
    }
}
