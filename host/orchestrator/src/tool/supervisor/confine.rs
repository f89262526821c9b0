//! What the kernel offers to keep a program within bounds. Each part that is not to be had
//! here is said in a note, never an error: the operator trusted the program itself.

use crate::tool::folder::Spec;
use landlock::{
    ABI, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, UnshareFlags};
use std::path::Path;

/// Devices that a program may write to although they are outside its folder.
const HARMLESS_DEVICES: [&str; 6] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/kvm",
];

/// What root keeps: rights over files, so that disks of other users can be read.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID);

/// Namespaces for the processes that this one will start. As long as this process has one
/// thread.
pub fn separate(network: bool) -> Vec<String> {
    let always = UnshareFlags::NEWPID | UnshareFlags::NEWIPC;
    let wanted = match network {
        true => vec![always],
        false => vec![always | UnshareFlags::NEWNET, always],
    };
    let mut notes = Vec::new();
    for flags in wanted {
        match unshare(flags) {
            Ok(()) => {
                if !network && !flags.contains(UnshareFlags::NEWNET) {
                    notes.push("no network namespace: only TCP is denied, by landlock".to_owned());
                }
                return notes;
            }
            Err(error) if flags == always => {
                notes.push(format!(
                    "no namespaces ({error}): processes are found by their parents{}",
                    if network {
                        ""
                    } else {
                        ", only TCP is denied, by landlock"
                    }
                ));
            }
            Err(_) => {}
        }
    }
    notes
}

/// Unshares as root can; else within a user namespace, in which the user stays who it is.
fn unshare(flags: UnshareFlags) -> std::io::Result<()> {
    if enter(flags).is_ok() {
        return Ok(());
    }
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    enter(flags | UnshareFlags::NEWUSER)?;
    // user_namespaces(7): an unprivileged process maps itself only, and its group only
    // after it gave up setgroups. Without the maps the program runs as nobody, with the
    // rights that it has anyway.
    std::fs::write("/proc/self/uid_map", format!("{0} {0} 1", user.as_raw())).ok();
    std::fs::write("/proc/self/setgroups", "deny").ok();
    std::fs::write("/proc/self/gid_map", format!("{0} {0} 1", group.as_raw())).ok();
    Ok(())
}

#[expect(
    deprecated,
    reason = "deprecated for what CLONE_FILES does to descriptors, which is never asked for here; the other is an unsafe function"
)]
fn enter(flags: UnshareFlags) -> rustix::io::Result<()> {
    rustix::thread::unshare(flags)
}

/// Confines this process, and with it the program that it is about to start.
pub fn confine(spec: &Spec) -> Vec<String> {
    let mut notes = Vec::new();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    for (name, resource, limit) in [
        ("RLIMIT_CORE", Resource::Core, 0),
        ("RLIMIT_DATA", Resource::Data, spec.memory),
        ("RLIMIT_FSIZE", Resource::Fsize, spec.file_size),
        ("RLIMIT_NOFILE", Resource::Nofile, spec.open_files),
    ] {
        if let Err(error) = limit_to(resource, limit) {
            notes.push(format!("{name} is not set: {error}"));
        }
    }
    if rustix::process::geteuid().is_root() {
        notes.extend(drop_capabilities());
    }
    if let Err(error) = rustix::thread::set_no_new_privs(true) {
        notes.push(format!("programs may gain privileges: {error}"));
    }
    match landlock(spec) {
        Ok(RulesetStatus::FullyEnforced) => {}
        Ok(RulesetStatus::PartiallyEnforced) => {
            notes.push("landlock: this kernel enforces a part of the rules only".to_owned());
        }
        Ok(RulesetStatus::NotEnforced) => {
            notes.push("no landlock: files outside the working folder can be written".to_owned());
        }
        Err(error) => notes.push(format!(
            "no landlock: files outside the working folder can be written: {error}"
        )),
    }
    notes
}

/// Sets a limit for good; a lower one that holds already stays.
fn limit_to(resource: Resource, limit: u64) -> rustix::io::Result<()> {
    let now = rustix::process::getrlimit(resource);
    let limit = now.maximum.map_or(limit, |most| most.min(limit));
    setrlimit(
        resource,
        Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        },
    )
}

/// A program that root starts gets what is in the bounding set (capabilities(7)).
fn drop_capabilities() -> Option<String> {
    let mut refused = None;
    for capability in CapabilitySet::all().difference(KEPT).iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // EINVAL: a capability that this kernel does not know.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => refused = Some(format!("capabilities of root are kept: {error}")),
        }
    }
    refused
}

/// Writing is handled, so it is denied but where a rule allows it; reading is not handled.
/// The third ABI has all that changes files (truncation came last); later ones add ioctls.
fn landlock(spec: &Spec) -> Result<RulesetStatus, RulesetError> {
    let writing = AccessFs::from_write(ABI::V3);
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writing)?;
    if !spec.network {
        ruleset = ruleset.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?;
    }
    let folder = std::iter::once(spec.work.as_path());
    let artifacts = spec.writable.iter().map(std::path::PathBuf::as_path);
    let devices = HARMLESS_DEVICES.iter().map(Path::new);
    let status = ruleset
        .create()?
        .add_rules(path_beneath_rules(
            folder.chain(artifacts).chain(devices),
            writing,
        ))?
        .restrict_self()?;
    Ok(status.ruleset)
}
