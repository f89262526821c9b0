//! Which trees are the root of a Linux system, and which of them is meant.

use cofferdam_sdk::types::{BlockDevice, Tree};
use cofferdam_sdk::{Error, ErrorCode, Result, Trees};

use crate::device::{describe, resolve};

/// What says that a tree is a root. A tree needs `/etc` and two of these groups: a data
/// disk may have one by accident. Links count without their target, which may be on /usr.
const HINTS: [&[&str]; 4] = [
    &[
        "/etc/os-release",
        "/usr/lib/os-release",
        "/etc/debian_version",
        "/etc/redhat-release",
        "/etc/SuSE-release",
        "/etc/alpine-release",
        "/etc/arch-release",
        "/etc/gentoo-release",
    ],
    &["/etc/fstab"],
    &[
        "/sbin/init",
        "/usr/sbin/init",
        "/usr/lib/systemd/systemd",
        "/lib/systemd/systemd",
        "/init",
    ],
    &["/bin", "/usr/bin"],
];
const ENOUGH: usize = 2;

/// A path through a file, or links in a circle, are `invalid` and lead to nothing.
fn exists(guest: &dyn Trees, tree: u32, path: &str) -> Result<bool> {
    match guest.stat(tree, path, false) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.code, ErrorCode::NotFound | ErrorCode::Invalid) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The trees that are roots, in their order.
pub fn candidates(guest: &dyn Trees) -> Result<Vec<Tree>> {
    let mut found = Vec::new();
    for tree in guest.trees() {
        if !exists(guest, tree.index, "/etc")? {
            continue;
        }
        let mut hints = 0;
        for group in HINTS {
            for path in group {
                if exists(guest, tree.index, path)? {
                    hints += 1;
                    break;
                }
            }
        }
        if hints >= ENOUGH {
            found.push(tree);
        }
    }
    Ok(found)
}

/// The candidate that the setting `root` means.
pub fn chosen(setting: &str, candidates: &[Tree], devices: &[BlockDevice]) -> Result<Tree> {
    let device = match setting.parse::<u32>() {
        Ok(index) => devices.iter().find(|device| device.index == index),
        Err(_) => {
            resolve(setting, devices).or_else(|| resolve(&format!("UUID={setting}"), devices))
        }
    };
    let tree = device.and_then(|device| {
        candidates
            .iter()
            .find(|candidate| candidate.device == device.index)
    });
    tree.cloned().ok_or_else(|| {
        let what = match device {
            Some(device) => format!("{} holds no Linux root", describe(device)),
            None => "no device has that name, UUID or number".to_owned(),
        };
        Error::invalid(format!("the setting root is {setting:?}, but {what}"))
            .with_hint(format!("roots found: {}", listed(candidates, devices)))
    })
}

/// The candidates as people know them, each with the number that the setting takes.
pub fn listed(candidates: &[Tree], devices: &[BlockDevice]) -> String {
    let names: Vec<String> = candidates
        .iter()
        .map(|candidate| {
            devices
                .iter()
                .find(|device| device.index == candidate.device)
                .map_or_else(|| format!("device {}", candidate.device), describe)
        })
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
