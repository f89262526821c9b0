//! One kernel: can it boot from the target's disk bus, and what is added so that it can.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use cofferdam_sdk::types::Kernel;
use cofferdam_sdk::{Error, FileKind, Guest, OptionalExt, Result, Severity, path};

use crate::archive::{self, Initrd};
use crate::decoder::Encoding;
use crate::guest_file::GuestFile;
use crate::kind::{self, Kind};
use crate::modules::{Index, listed, name_of, normal};
use crate::segment::Overlay;
use crate::{Settings, Signatures, signing, unified};

/// An index file may be this long; `modules.alias` of a distribution is under 2 MiB.
const INDEX: u64 = 16 << 20;
/// A module may be this long.
const MODULE: u64 = 32 << 20;
/// What is appended may be this long before compression.
const APPENDED: usize = 48 << 20;
/// One edit carries at most this (`wit/guest`, interface edits).
const CALL: usize = 16 << 20;
/// initramfs-tools' list of modules to load.
const LIST: &str = "conf/modules";
/// A kernel's own list of what is part of it.
const BUILTIN: &str = "modules.builtin";

/// What became of a kernel.
pub enum Verdict {
    /// It boots as it is.
    Ready,
    /// It boots with what was appended; the modules that its initrd loads now.
    Extended(Vec<String>),
    /// Its initrd must not or cannot be changed, which stops the plan.
    Refused(String),
    /// It lacks what no edit here can give it.
    Unable {
        /// Why, in a sentence without its end.
        reason: String,
        /// Whether that is for want of an initrd.
        no_initrd: bool,
    },
}

/// Bytes that this fixer has planned to add, by the device that holds them: free space is
/// told as it was before any edit.
#[derive(Default)]
pub struct Room(HashMap<Option<u32>, u64>);

/// Looks at one kernel and plans what it needs.
///
/// # Errors
/// What the host answers, where it is no damage of the initrd itself.
pub fn examine(
    guest: &mut dyn Guest,
    kernel: &Kernel,
    drivers: &[&str],
    settings: &Settings,
    room: &mut Room,
) -> Result<Verdict> {
    let version = &kernel.version;
    for file in [Some(&kernel.image), kernel.initrd.as_ref()]
        .into_iter()
        .flatten()
    {
        if guest.is_file(file)? && unified::is_unified(&start_of(guest, file)?) {
            return Ok(Verdict::Refused(format!(
                "kernel {version}: {file} is a unified kernel image, whose initrd is part of a \
                 signed file and cannot be added to; rebuild it in the guest with the target's \
                 disk drivers before migrating"
            )));
        }
    }

    let mut folder = kernel.modules.clone();
    let mut index = read_index(guest, folder.as_deref())?;
    note_network(guest, version, &index, folder.is_some())?;
    let extra = settings.modules.iter().map(|name| normal(name));
    let mut all = drivers.iter().map(|name| normal(name)).chain(extra);
    if all.all(|name| index.is_builtin(&name)) {
        return Ok(Verdict::Ready);
    }
    let Some(path) = &kernel.initrd else {
        let lacking: Vec<&str> = drivers
            .iter()
            .copied()
            .filter(|name| !index.is_builtin(name))
            .collect();
        return Ok(if lacking.is_empty() {
            Verdict::Ready
        } else {
            Verdict::Unable {
                reason: format!(
                    "kernel {version} has no initrd, and {} {} not built into it, so it cannot \
                     find its disk",
                    lacking.join(" and "),
                    if lacking.len() == 1 { "is" } else { "are" }
                ),
                no_initrd: true,
            }
        });
    };
    if !guest.is_file(path)? {
        return Ok(Verdict::Unable {
            reason: format!("kernel {version}: its initrd {path} is not there"),
            no_initrd: true,
        });
    }
    let initrd = match read_initrd(guest, path)? {
        Ok(initrd) => initrd,
        Err(reason) => return Ok(Verdict::Refused(format!("kernel {version}: {reason}"))),
    };

    let held = Held::find(&initrd, version, folder.is_none());
    if folder.is_none() && &held.version != version {
        // A rescue kernel: named by the machine, with another's modules.
        let other = format!("/lib/modules/{}", held.version);
        folder = guest.is_directory(&other)?.then_some(other);
        index = read_index(guest, folder.as_deref())?;
    }
    if let Some(text) = initrd
        .members
        .content(&format!("{}/{BUILTIN}", held.folder))
    {
        index.add_builtin(&String::from_utf8_lossy(text));
    }

    let wanted = match lacking(guest, version, drivers, settings, &index, &held)? {
        Ok(wanted) => wanted,
        Err(reason) => {
            return Ok(Verdict::Unable {
                reason,
                no_initrd: false,
            });
        }
    };
    if wanted.files.is_empty() {
        return Ok(Verdict::Ready);
    }
    if settings.signatures == Signatures::Block
        && let Some(reason) = signing::checked_by_loader(guest, path)?
    {
        return Ok(Verdict::Refused(format!(
            "kernel {version}: {path} needs {} added, but {reason}; sign it again after the \
             migration and plan with the setting signatures = \"ignore\"",
            names(&wanted.files)
        )));
    }
    // An index that found a module has a folder.
    let folder = folder.unwrap_or_else(|| format!("/lib/modules/{}", held.version));
    append(
        guest, version, path, &folder, &initrd, &held, &index, wanted, room,
    )
}

/// What an initrd has of one kernel's modules.
struct Held {
    /// The release that they are for.
    version: String,
    /// Where they are in the initrd, every link resolved.
    folder: String,
    /// Files of each module, relative to the folder.
    files: BTreeMap<String, BTreeSet<String>>,
}

impl Held {
    /// `other` lets the modules of the only other release stand in where there are none.
    fn find(initrd: &Initrd, version: &str, other: bool) -> Self {
        let members = &initrd.members;
        let bases: Vec<String> = ["lib/modules", "usr/lib/modules"]
            .iter()
            .filter_map(|base| members.resolve(base))
            .collect();
        let mut found = bases
            .iter()
            .map(|base| (version.to_owned(), format!("{base}/{version}")))
            .find(|(_, folder)| members.get(folder).is_some());
        if found.is_none() && other {
            let all: BTreeSet<(String, String)> = bases
                .iter()
                .flat_map(|base| {
                    members.under(base).filter_map(move |(name, _)| {
                        let (release, _) = name.split_once('/')?;
                        Some((release.to_owned(), format!("{base}/{release}")))
                    })
                })
                .collect();
            if all.len() == 1 {
                found = all.into_iter().next();
            }
        }
        let (version, folder) = found.unwrap_or_else(|| {
            let base = bases.into_iter().next();
            let base = base.unwrap_or_else(|| "lib/modules".to_owned());
            (version.to_owned(), format!("{base}/{version}"))
        });
        let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (file, _) in members.under(&folder) {
            if let Some(name) = name_of(file) {
                files.entry(name).or_default().insert(file.to_owned());
            }
        }
        Self {
            version,
            folder,
            files,
        }
    }
}

/// What is to be added.
struct Wanted {
    /// Modules whose files are added.
    files: BTreeSet<String>,
    /// Modules that early user space has to load, in order.
    load: Vec<String>,
}

/// What the initrd lacks; `Err` with the reason where the guest does not have it.
fn lacking(
    guest: &mut dyn Guest,
    version: &str,
    drivers: &[&str],
    settings: &Settings,
    index: &Index,
    held: &Held,
) -> Result<std::result::Result<Wanted, String>> {
    let mut wanted = Wanted {
        files: BTreeSet::new(),
        load: Vec::new(),
    };
    let extra: Vec<String> = settings.modules.iter().map(|name| normal(name)).collect();
    let needed = drivers.iter().map(|name| ((*name).to_owned(), true));
    for (name, required) in needed.chain(extra.into_iter().map(|name| (name, false))) {
        if index.is_builtin(&name) {
            continue;
        }
        match index.closure(&name) {
            Ok(closure) => {
                let absent = closure
                    .into_iter()
                    .filter(|one| !held.files.contains_key(one));
                wanted.files.extend(absent);
                wanted.load.push(name);
            }
            // Not in the guest's index, but whoever built the initrd found it.
            Err(_) if held.files.contains_key(&name) => wanted.load.push(name),
            Err(missing) => {
                let of = if missing == name {
                    String::new()
                } else {
                    format!(" (needed by {name})")
                };
                let reason = format!(
                    "kernel {version}: the module {missing}{of} is neither built in, nor in its \
                     initrd, nor in the guest's modules folder"
                );
                if required {
                    return Ok(Err(format!("{reason}, so it cannot find its disk")));
                }
                guest.note(Severity::Warn, &reason)?;
            }
        }
    }
    Ok(Ok(wanted))
}

/// Makes the segment and plans to append it.
#[expect(
    clippy::too_many_arguments,
    reason = "everything that was found out about one kernel meets here, once"
)]
fn append(
    guest: &mut dyn Guest,
    version: &str,
    path: &str,
    folder: &str,
    initrd: &Initrd,
    held: &Held,
    index: &Index,
    mut wanted: Wanted,
    room: &mut Room,
) -> Result<Verdict> {
    let kind = kind::recognise(&initrd.members);
    if kind == Kind::Unknown {
        guest.note(
            Severity::Warn,
            &format!(
                "{path} was made by no tool that is known here; the modules and all indexes are \
                 added, but whether its init loads them is not known: try the guest before it is \
                 relied on"
            ),
        )?;
    }
    let asked = wanted.files.clone();
    add_renamed(guest, path, held, index, &mut wanted)?;

    let seconds = guest.now().seconds.clamp(0, i64::from(u32::MAX));
    let mut overlay = Overlay::new(&initrd.members, u32::try_from(seconds).unwrap_or(0));
    let mut files: BTreeSet<&str> = wanted
        .files
        .iter()
        .filter_map(|name| index.file(name))
        .collect();
    let indexes = index_files(guest, folder, kind)?;
    files.extend(indexes.iter().map(String::as_str));
    for file in files {
        let most = if name_of(file).is_some() {
            MODULE
        } else {
            INDEX
        };
        let Some(content) = guest.read(&path::join(folder, file), most).optional()? else {
            return Ok(Verdict::Unable {
                reason: format!(
                    "kernel {version}: {folder}/{file} is named by modules.dep and is not there, \
                     so its initrd cannot be given what it lacks"
                ),
                no_initrd: false,
            });
        };
        if overlay.len() + content.len() > APPENDED {
            return Ok(Verdict::Refused(format!(
                "kernel {version}: what {path} lacks is more than {} MiB; rebuild it in the guest",
                APPENDED >> 20
            )));
        }
        overlay.file(&format!("{}/{file}", held.folder), &content);
    }
    if kind == Kind::InitramfsTools
        && let Some(list) = merged_list(initrd, &wanted.load)
    {
        overlay.file(
            &initrd
                .members
                .resolve(LIST)
                .unwrap_or_else(|| LIST.to_owned()),
            &list,
        );
    }
    let gzip = reads_gzip(guest, version, folder, initrd)?;
    let (bytes, encoding) = overlay.finish(initrd, gzip);
    if let Some(reason) = room.lacks(guest, path, initrd.length, bytes.len() as u64)? {
        return Ok(Verdict::Refused(format!("kernel {version}: {reason}")));
    }
    let reason = format!(
        "kernel {version} cannot see the target's disk without {}: the guest's own modules and \
         their index, as one more {encoding} archive ({kind} initrd of {} bytes)",
        names(&asked),
        initrd.length
    );
    for piece in bytes.chunks(CALL) {
        guest.append(path, piece, &reason)?;
    }
    Ok(Verdict::Extended(wanted.load))
}

/// The new index names the guest's files. A module that the initrd holds under another
/// name (uncompressed, say, or from a folder that has changed since) would no longer be
/// found by it, so that one is added under the index's name too.
fn add_renamed(
    guest: &mut dyn Guest,
    path: &str,
    held: &Held,
    index: &Index,
    wanted: &mut Wanted,
) -> Result<()> {
    let mut lost = Vec::new();
    for (name, files) in &held.files {
        match index.file(name) {
            Some(file) if files.contains(file) => {}
            Some(_) => match index.closure(name) {
                Ok(closure) => {
                    let absent = closure
                        .into_iter()
                        .filter(|one| one == name || !held.files.contains_key(one));
                    wanted.files.extend(absent);
                }
                Err(_) => lost.push(name.as_str()),
            },
            None if index.is_builtin(name) => {}
            None => lost.push(name.as_str()),
        }
    }
    if lost.is_empty() {
        return Ok(());
    }
    guest.note(
        Severity::Warn,
        &format!(
            "{path} holds modules that the guest's own index no longer names ({}); the initrd \
             will not load them by name any more",
            lost.join(", ")
        ),
    )
}

/// The index files that go with the modules: initramfs-tools loads by a list and needs the
/// dependencies, the others load by udev and need all.
fn index_files(guest: &dyn Guest, folder: &str, kind: Kind) -> Result<Vec<String>> {
    let entries = guest.list(folder)?.into_iter();
    Ok(entries
        .filter(|entry| entry.kind == FileKind::Regular)
        .map(|entry| entry.name)
        .filter(|name| match kind {
            Kind::InitramfsTools => matches!(name.as_str(), "modules.dep" | "modules.dep.bin"),
            _ => name.starts_with("modules."),
        })
        .collect())
}

/// initramfs-tools' list with these names; none where all are in it.
fn merged_list(initrd: &Initrd, load: &[String]) -> Option<Vec<u8>> {
    let mut list = initrd.members.content(LIST).unwrap_or_default().to_vec();
    let there = listed(&String::from_utf8_lossy(&list));
    let missing: Vec<&String> = load.iter().filter(|name| !there.contains(*name)).collect();
    if missing.is_empty() {
        return None;
    }
    if list.last().is_some_and(|&byte| byte != b'\n') {
        list.push(b'\n');
    }
    for name in missing {
        list.extend_from_slice(name.as_bytes());
        list.push(b'\n');
    }
    Some(list)
}

/// Whether the kernel is known to unpack gzip: it did so already, or its configuration says.
fn reads_gzip(guest: &dyn Guest, version: &str, folder: &str, initrd: &Initrd) -> Result<bool> {
    if initrd
        .segments
        .iter()
        .any(|segment| segment.encoding == Encoding::Gzip)
    {
        return Ok(true);
    }
    for path in [
        format!("/boot/config-{version}"),
        format!("{folder}/config"),
    ] {
        if guest.is_file(&path)? {
            let text = guest.read(&path, INDEX)?;
            return Ok(String::from_utf8_lossy(&text)
                .lines()
                .any(|line| line == "CONFIG_RD_GZIP=y"));
        }
    }
    Ok(false)
}

impl Room {
    /// Counts bytes that a file is to grow by; the reason where they do not fit.
    fn lacks(
        &mut self,
        guest: &dyn Guest,
        path: &str,
        length: u64,
        added: u64,
    ) -> Result<Option<String>> {
        let space = guest.free_space(path)?;
        let block = u64::from(space.block_size.max(1));
        let blocks = (length + added).div_ceil(block) - length.div_ceil(block);
        let mounts = guest.mounts();
        let holder = mounts
            .iter()
            .filter(|mount| {
                let under = path.strip_prefix(mount.path.trim_end_matches('/'));
                under.is_some_and(|rest| rest.starts_with('/'))
            })
            .max_by_key(|mount| mount.path.len())
            .map(|mount| mount.device);
        let planned = self.0.entry(holder).or_default();
        if *planned + blocks > space.free_blocks {
            let free = space.free_blocks.saturating_sub(*planned) * block;
            return Ok(Some(format!(
                "{path} must grow by {added} bytes and its file system has {free} free; remove \
                 old kernels or enlarge it"
            )));
        }
        *planned += blocks;
        Ok(None)
    }
}

/// A network card without a driver does not stop a guest from booting, but it is worth
/// knowing before.
fn note_network(guest: &mut dyn Guest, version: &str, index: &Index, indexed: bool) -> Result<()> {
    let name = "virtio_net";
    let lacks = !index.is_builtin(name) && index.file(name).is_none();
    if indexed && lacks && guest.target().nic_model == "virtio-net" {
        return guest.note(
            Severity::Warn,
            &format!(
                "kernel {version} has no driver for the target's network card ({name}); choose \
                 another model of card"
            ),
        );
    }
    Ok(())
}

fn read_index(guest: &dyn Guest, folder: Option<&str>) -> Result<Index> {
    let Some(folder) = folder else {
        return Ok(Index::default());
    };
    let text = |name: &str| -> Result<String> {
        let path = path::join(folder, name);
        if !guest.is_file(&path)? {
            return Ok(String::new());
        }
        Ok(String::from_utf8_lossy(&guest.read(&path, INDEX)?).into_owned())
    };
    Ok(Index::parse(folder, &text("modules.dep")?, &text(BUILTIN)?))
}

/// Reads an initrd; the inner error is a sentence for people.
fn read_initrd(guest: &dyn Guest, path: &str) -> Result<std::result::Result<Initrd, String>> {
    let size = guest.stat(path, true)?.size;
    let failure: RefCell<Option<Error>> = RefCell::default();
    let file = GuestFile::new(guest, path, size, &failure);
    let wanted = |name: &str| name.ends_with(LIST) || name.ends_with(BUILTIN);
    let error = match archive::read(file, wanted) {
        Ok(initrd) => return Ok(Ok(initrd)),
        Err(error) => error,
    };
    if let Some(host) = failure.into_inner() {
        return Err(host.context(format!("cannot read {path}")));
    }
    let tail = guest.read_at(path, size.saturating_sub(64), 64)?;
    if let (archive::Error::Garbage { .. }, Some(what)) = (&error, signing::trailer(&tail)) {
        return Ok(Err(format!(
            "{path} ends with {what}; rebuild the initrd in the guest with the target's disk \
             drivers before migrating"
        )));
    }
    Ok(Err(format!(
        "{path} is left alone, because where it ends is not certain: {error}; rebuild it in the \
         guest with the target's disk drivers before migrating"
    )))
}

fn start_of(guest: &dyn Guest, path: &str) -> Result<Vec<u8>> {
    guest.read_at(path, 0, u32::try_from(unified::START).unwrap_or(u32::MAX))
}

fn names(modules: &BTreeSet<String>) -> String {
    Vec::from_iter(modules.iter().map(String::as_str)).join(", ")
}
