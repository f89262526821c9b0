//! The contract's records as the host's bindings have them, and as the SDK does.

use cofferdam_contract::services::Facts;
use cofferdam_contract::types as host;
use cofferdam_sdk::error::{Error, ErrorCode};
use cofferdam_sdk::{step, testing, types as sdk};

macro_rules! enums {
    ($($there:ident, $back:ident, $sdk:ty, $host:ty: $($variant:ident)*;)*) => {$(
        #[allow(dead_code, reason = "not every enumeration goes both ways")]
        pub(crate) fn $there(value: $sdk) -> $host {
            match value { $(<$sdk>::$variant => <$host>::$variant,)* }
        }
        #[allow(dead_code, reason = "not every enumeration goes both ways")]
        pub(crate) fn $back(value: $host) -> $sdk {
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

pub(crate) fn error(error: Error) -> host::Error {
    host::Error {
        code: code(error.code),
        message: error.message,
        hint: error.hint,
        retry_after: error.retry_after,
    }
}

pub(crate) fn error_back(error: host::Error) -> Error {
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

pub(crate) fn metadata(of: sdk::Metadata) -> host::Metadata {
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

pub(crate) fn page(page: sdk::Page) -> host::Page {
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

pub(crate) fn space(of: sdk::Space) -> host::Space {
    host::Space {
        block_size: of.block_size,
        blocks: of.blocks,
        free_blocks: of.free_blocks,
        inodes: of.inodes,
        free_inodes: of.free_inodes,
    }
}

pub(crate) fn attributes_back(of: host::Attributes) -> sdk::Attributes {
    sdk::Attributes {
        mode: of.mode,
        owner: of.owner,
        group: of.group,
        label: of.label,
    }
}

pub(crate) fn device(device: sdk::BlockDevice) -> host::BlockDevice {
    host::BlockDevice {
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
    }
}

pub(crate) fn system_back(of: host::OperatingSystem) -> sdk::OperatingSystem {
    sdk::OperatingSystem {
        kind: of.kind,
        distribution: of.distribution,
        version: of.version,
        name: of.name,
        architecture: of.architecture,
    }
}

pub(crate) fn mount_back(of: host::MountPoint) -> sdk::MountPoint {
    sdk::MountPoint {
        path: of.path,
        device: of.device,
        options: of.options,
    }
}

pub(crate) fn kernel_back(of: host::Kernel) -> sdk::Kernel {
    sdk::Kernel {
        version: of.version,
        image: of.image,
        initrd: of.initrd,
        modules: of.modules,
    }
}

pub(crate) fn tool_request_back(of: host::ToolRequest) -> step::ToolRequest {
    let arguments = of.arguments.into_iter().map(|argument| match argument {
        host::ToolArgument::Text(text) => step::Argument::Text(text),
        host::ToolArgument::Artifact(artifact) => step::Argument::Artifact {
            reference: artifact.reference,
            template: artifact.template,
            writable: artifact.writable,
        },
    });
    step::ToolRequest {
        operation: of.operation,
        program: of.program,
        arguments: arguments.collect(),
        stop_when: of.stop_when,
        timeout_ms: of.timeout_ms,
    }
}

pub(crate) fn tool_outcome(of: step::ToolOutcome) -> host::ToolOutcome {
    host::ToolOutcome {
        exit: of.exit,
        signal: of.signal,
        matched: of.matched,
        timed_out: of.timed_out,
        tail: of.tail,
        output_bytes: of.output_bytes,
    }
}

pub(crate) fn step_plan_back(of: host::StepPlan) -> step::StepPlan {
    let changes = of.changes.into_iter().map(|change| step::PlannedChange {
        action: change.action,
        subject: change.subject,
        detail: change.detail,
    });
    step::StepPlan {
        summary: of.summary,
        changes: changes.collect(),
    }
}

pub(crate) fn facts(of: &testing::Facts) -> Facts {
    let of = of.clone();
    let devices = of.devices.into_iter().map(device);
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
