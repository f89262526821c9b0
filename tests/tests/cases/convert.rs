//! The contract's records as the host's bindings have them, and as the SDK does.

use cofferdam_contract::services::Facts;
use cofferdam_contract::types as host;
use cofferdam_sdk::error::{Error, ErrorCode};
use cofferdam_sdk::{testing, types as sdk};

macro_rules! enums {
    ($($there:ident, $back:ident, $sdk:ty, $host:ty: $($variant:ident)*;)*) => {$(
        #[allow(dead_code, reason = "not every enum goes both ways")]
        pub fn $there(value: $sdk) -> $host {
            match value { $(<$sdk>::$variant => <$host>::$variant,)* }
        }
        #[allow(dead_code, reason = "not every enum goes both ways")]
        pub fn $back(value: $host) -> $sdk {
            match value { $(<$host>::$variant => <$sdk>::$variant,)* }
        }
    )*};
}

enums! {
    code, code_back, ErrorCode, host::ErrorCode:
        NotFound Denied Invalid Conflict Unavailable Timeout Cancelled Limit Unsupported
        NoSpace Corrupt Exists Locked Other;
    severity, severity_back, sdk::Severity, host::Severity: Info Warn Block;
    kind, kind_back, sdk::FileKind, host::FileKind:
        Regular Directory Symlink BlockDevice CharacterDevice Fifo Socket;
}

pub fn error(error: Error) -> host::Error {
    host::Error {
        code: code(error.code),
        message: error.message,
        hint: error.hint,
        retry_after: error.retry_after,
    }
}

pub fn error_back(error: host::Error) -> Error {
    Error {
        code: code_back(error.code),
        message: error.message,
        hint: error.hint,
        retry_after: error.retry_after,
    }
}

fn time(time: sdk::Timestamp) -> host::Timestamp {
    host::Timestamp {
        seconds: time.seconds,
        nanoseconds: time.nanoseconds,
    }
}

pub fn metadata(of: sdk::Metadata) -> host::Metadata {
    host::Metadata {
        inode: of.inode,
        kind: kind(of.kind),
        mode: of.mode,
        links: of.links,
        owner: of.owner,
        group: of.group,
        size: of.size,
        device: of.device,
        accessed: time(of.accessed),
        modified: time(of.modified),
        changed: time(of.changed),
    }
}

pub fn page(page: sdk::Page) -> host::Page {
    let entries = page.entries.into_iter().map(|entry| host::Entry {
        name: entry.name,
        kind: kind(entry.kind),
        inode: entry.inode,
    });
    host::Page {
        entries: entries.collect(),
        next: page.next,
    }
}

pub fn space(of: sdk::Space) -> host::Space {
    host::Space {
        block_size: of.block_size,
        blocks: of.blocks,
        free_blocks: of.free_blocks,
        inodes: of.inodes,
        free_inodes: of.free_inodes,
    }
}

pub fn attributes_back(of: host::Attributes) -> sdk::Attributes {
    sdk::Attributes {
        mode: of.mode,
        owner: of.owner,
        group: of.group,
        label: of.label,
    }
}

pub fn facts(of: &testing::Facts) -> Facts {
    let of = of.clone();
    let devices = of.devices.into_iter().map(|device| host::BlockDevice {
        index: device.index,
        disk: device.disk,
        partition: device.partition,
        offset: device.offset,
        size: device.size,
        kind: device.kind,
        uuid: device.uuid,
        label: device.label,
        partition_uuid: device.partition_uuid,
        partition_label: device.partition_label,
        old_names: device.old_names,
    });
    let mounts = of.mounts.into_iter().map(|mount| host::MountPoint {
        path: mount.path,
        device: mount.device,
        options: mount.options,
    });
    let kernels = of.kernels.into_iter().map(|kernel| host::Kernel {
        version: kernel.version,
        image: kernel.image,
        initrd: kernel.initrd,
        modules: kernel.modules,
    });
    let nics = of.nics.into_iter().map(|nic| host::Nic {
        mac: nic.mac,
        model: nic.model,
    });
    Facts {
        operating_system: host::OperatingSystem {
            kind: of.os.kind,
            distribution: of.os.distribution,
            version: of.os.version,
            name: of.os.name,
            architecture: of.os.architecture,
        },
        devices: devices.collect(),
        mounts: mounts.collect(),
        kernels: kernels.collect(),
        nics: nics.collect(),
        firmware: of.firmware,
        target: host::TargetMachine {
            disk_bus: of.target.disk_bus,
            nic_model: of.target.nic_model,
        },
        other: of.other,
    }
}
