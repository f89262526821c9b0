//! What the compiling child gives up before it reads the component.
//!
//! Address space, CPU time, writing files, further descriptors and core dumps by resource
//! limits; new privileges; and, where the kernel has landlock, every file and TCP. It dies
//! with its host, and leaves the processor to others.

use super::Request;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetError,
    RulesetStatus,
};
use rustix::process::{Resource, Rlimit, Signal, setrlimit};

/// Descriptors: standard input and output, and a few for the language's library.
const DESCRIPTORS: u64 = 16;

/// How far the child stands back behind everybody else.
const NICE: i32 = 10;

/// Confines this process for good.
///
/// # Errors
/// A limit that cannot be set; what only some kernels have may be missing.
pub(super) fn confine(request: &Request) -> Result<(), String> {
    let failed = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    let cpu = u64::from(request.cpu_seconds);
    for (name, resource, current, most) in [
        (
            "RLIMIT_AS",
            Resource::As,
            u64::from(request.memory_mib) << 20,
            u64::from(request.memory_mib) << 20,
        ),
        // The first ends it with a signal that says why, the second for certain.
        ("RLIMIT_CPU", Resource::Cpu, cpu, cpu.saturating_add(1)),
        ("RLIMIT_FSIZE", Resource::Fsize, 0, 0),
        ("RLIMIT_NOFILE", Resource::Nofile, DESCRIPTORS, DESCRIPTORS),
        ("RLIMIT_CORE", Resource::Core, 0, 0),
    ] {
        lower(resource, current, most).map_err(|error| failed(name, &error))?;
    }
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| failed("it cannot be bound to its host", &error))?;
    rustix::thread::set_no_new_privs(true)
        .map_err(|error| failed("privileges cannot be given up", &error))?;
    landlock().map_err(|error| failed("landlock", &error))?;
    // Where it may not stand back it compiles all the same.
    rustix::process::nice(NICE).ok();
    Ok(())
}

/// Sets a limit; a lower one that holds already stays.
fn lower(resource: Resource, current: u64, most: u64) -> rustix::io::Result<()> {
    let now = rustix::process::getrlimit(resource);
    let most = now.maximum.map_or(most, |held| held.min(most));
    setrlimit(
        resource,
        Rlimit {
            current: Some(current.min(most)),
            maximum: Some(most),
        },
    )
}

/// Denies every file, and TCP, as far as the kernel can; to this thread and those that it
/// will start.
fn landlock() -> Result<RulesetStatus, RulesetError> {
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?
        .create()?
        .restrict_self()?;
    Ok(status.ruleset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn no_file_is_opened_and_nobody_is_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        // Of this thread alone; the other tests go on as they were.
        let confined = std::thread::spawn(move || {
            let status = landlock().unwrap();
            let denied = |result: std::io::Result<()>| {
                result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
            };
            (
                status,
                denied(std::fs::File::open(&path).map(drop)),
                denied(std::fs::write(&path, b"x")),
                denied(std::fs::read_dir("/proc").map(drop)),
                denied(TcpStream::connect(address).map(drop)),
            )
        });
        let (status, read, write, list, connect) = confined.join().unwrap();
        if status == RulesetStatus::NotEnforced {
            assert!(std::env::var_os("CI").is_none(), "there is no landlock");
            println!("skipped: this kernel has no landlock");
            return;
        }
        assert!(read && write && list, "{status:?}");
        // Older kernels have no rules for the network.
        assert!(connect || status == RulesetStatus::PartiallyEnforced);
    }
}
