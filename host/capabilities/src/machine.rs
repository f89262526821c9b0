//! `cofferdam:disk/machine`: where a disk source records what it found.

use crate::arguments::{self, MOST_NOTE, MOST_WORDS};
use crate::host::{Host, capability};
use crate::source_folder::inside;
use cofferdam_contract::bindings::cofferdam::disk::machine;
use cofferdam_contract::services::Machine;
use cofferdam_contract::types::{Error, Nic, Severity};

capability!(
    MachineCapability,
    "cofferdam:disk/machine@0.1.0",
    cofferdam_contract::bindings::cofferdam::disk::machine
);

/// Refuses what is not six pairs of lower-case hexadecimal digits between colons.
fn check_mac(mac: &str) -> Result<(), Error> {
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let pairs: Vec<&str> = mac.split(':').collect();
    let fine = pairs.len() == 6
        && pairs
            .iter()
            .all(|pair| pair.len() == 2 && pair.chars().all(is_hex));
    if fine {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{mac:?} is no MAC address like 00:50:56:aa:bb:cc in lower case"
    )))
}

fn check_firmware(firmware: &str) -> Result<(), Error> {
    if matches!(firmware, "bios" | "uefi") {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the firmware {firmware:?} is neither `bios` nor `uefi`"
    )))
}

impl machine::Host for Host<'_> {
    async fn add_disk(
        &mut self,
        name: String,
        format: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let machine = self.service::<dyn Machine>()?;
        Ok(inside(&name)
            .and_then(|()| arguments::texts("the disk's format", &[&format], MOST_WORDS))
            .and_then(|()| machine.add_disk(&name, &format)))
    }

    async fn set_name(&mut self, name: String) -> wasmtime::Result<Result<(), Error>> {
        let machine = self.service::<dyn Machine>()?;
        Ok(arguments::texts("the machine's name", &[&name], MOST_WORDS)
            .and_then(|()| machine.set_name(&name)))
    }

    async fn set_firmware(&mut self, firmware: String) -> wasmtime::Result<Result<(), Error>> {
        let machine = self.service::<dyn Machine>()?;
        Ok(arguments::texts("the firmware", &[&firmware], MOST_WORDS)
            .and_then(|()| check_firmware(&firmware))
            .and_then(|()| machine.set_firmware(&firmware)))
    }

    async fn set_memory(&mut self, mebibytes: u32) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.service::<dyn Machine>()?.set_memory(mebibytes))
    }

    async fn add_nic(
        &mut self,
        mac: String,
        model: Option<String>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let machine = self.service::<dyn Machine>()?;
        let texts = [mac.as_str(), model.as_deref().unwrap_or_default()];
        Ok(
            arguments::texts("a text about the network card", &texts, MOST_WORDS)
                .and_then(|()| check_mac(&mac))
                .and_then(|()| machine.add_nic(Nic { mac, model })),
        )
    }

    async fn note(
        &mut self,
        severity: Severity,
        message: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let machine = self.service::<dyn Machine>()?;
        Ok(arguments::texts("a remark", &[&message], MOST_NOTE)
            .and_then(|()| machine.note(severity, &message)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_have_one_notation() {
        assert!(check_mac("00:50:56:aa:bb:cc").is_ok());
        for bad in [
            "",
            "00:50:56:AA:BB:CC",
            "00:50:56:aa:bb",
            "0:50:56:aa:bb:ccc",
            "00-50-56-aa-bb-cc",
        ] {
            assert!(check_mac(bad).is_err(), "{bad}");
        }
    }
}
