//! A machine with two disks: the bootable guest, and its `/home`.

use crate::{Job, state, tool};
use cofferdam_fixtures::{DISK_SIZE, Format, PARTITION_OFFSET, PARTITION_SIZE, Variant};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The UUID of the second disk's file system.
pub const HOME_UUID: &str = "5a0f4b1c-3d62-4e8f-9a7b-c0ffe2da0002";

/// What the guest's `/etc/fstab` says of it.
pub const HOME_ROW: &str = "/dev/sdb1 /home ext4 defaults,nofail 0 2";

/// Where the disk's id is in its master boot record.
const DISK_ID_AT: u64 = 440;

impl Job {
    /// A guest on two disks, in two folders and in files of the same stem but of different
    /// formats: `one/machine.vmdk`, which is [`Job::source`], and `two/machine.qcow2`.
    #[must_use]
    pub fn of_two_disks(test: &str) -> Option<Self> {
        let mut job = Self::new(test, Variant::Bootable, Format::Raw)?;
        let boot = job.source.clone();
        let home = job.path("home.raw");
        make_home(&boot, &home, &job.path("tree"));
        name_home(&boot, &job.path("fstab"));
        let mut made = Vec::new();
        for (folder, raw, name, options) in [
            (
                "one",
                &boot,
                "machine.vmdk",
                &["-O", "vmdk", "-o", "subformat=streamOptimized"][..],
            ),
            ("two", &home, "machine.qcow2", &["-O", "qcow2"][..]),
        ] {
            fs::create_dir(job.path(folder)).unwrap();
            let disk = job.path(folder).join(name);
            let mut args: Vec<&OsStr> = vec!["convert".as_ref(), "-f".as_ref(), "raw".as_ref()];
            args.extend(options.iter().map(OsStr::new));
            args.extend([raw.as_os_str(), disk.as_os_str()]);
            tool("qemu-img", &args);
            fs::remove_file(raw).unwrap();
            made.push(disk);
        }
        job.before = made
            .iter()
            .map(|disk| (disk.clone(), state(disk)))
            .collect();
        job.source = made.remove(0);
        Some(job)
    }
}

/// One ext4 file system with a file, in a partition as the boot disk has it.
fn make_home(boot: &Path, home: &Path, tree: &Path) {
    let mut record = [0; 512];
    File::open(boot)
        .unwrap()
        .read_exact_at(&mut record, 0)
        .unwrap();
    let file = File::create(home).unwrap();
    file.set_len(DISK_SIZE).unwrap();
    file.write_all_at(&record, 0).unwrap();
    file.write_all_at(b"HOME", DISK_ID_AT).unwrap();
    fs::create_dir_all(tree.join("ann")).unwrap();
    fs::write(tree.join("ann/notes"), "keep this\n").unwrap();
    let offset = format!("offset={PARTITION_OFFSET},nodiscard,root_owner=0:0");
    let size = format!("{}k", PARTITION_SIZE / 1024);
    let args: [&OsStr; 16] = [
        "-q".as_ref(),
        "-F".as_ref(),
        "-t".as_ref(),
        "ext4".as_ref(),
        "-b".as_ref(),
        "4096".as_ref(),
        "-L".as_ref(),
        "home".as_ref(),
        "-U".as_ref(),
        HOME_UUID.as_ref(),
        "-E".as_ref(),
        offset.as_ref(),
        "-d".as_ref(),
        tree.as_ref(),
        home.as_ref(),
        size.as_ref(),
    ];
    tool("mke2fs", &args);
    fs::remove_dir_all(tree).unwrap();
}

/// Adds [`HOME_ROW`] to the guest's fstab; `scratch` is a file for it meanwhile.
fn name_home(boot: &Path, scratch: &Path) {
    let partition = PathBuf::from(format!("{}?offset={PARTITION_OFFSET}", boot.display()));
    let mut fstab = crate::file_of(&partition, "/etc/fstab");
    fstab.push_str(HOME_ROW);
    fstab.push('\n');
    fs::write(scratch, fstab).unwrap();
    let write = format!("write {} /etc/fstab", scratch.display());
    for request in [
        "rm /etc/fstab",
        write.as_str(),
        "sif /etc/fstab mode 0100644",
    ] {
        let args: [&OsStr; 4] = [
            "-w".as_ref(),
            "-R".as_ref(),
            request.as_ref(),
            partition.as_ref(),
        ];
        tool("debugfs", &args);
    }
    fs::remove_file(scratch).unwrap();
}
