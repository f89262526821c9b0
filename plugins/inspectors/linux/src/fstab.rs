//! Rows of /etc/fstab and /etc/crypttab.
//!
//! Sources: fstab(5), crypttab(5). Fields are separated by blanks; in fstab a blank, tab,
//! newline, backslash or `#` inside a field is written as a backslash and three octal digits.

use cofferdam_sdk::path;

/// One file system of fstab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What is mounted, as written (`UUID=…`, `/dev/sda1`).
    pub source: String,
    /// Where, as the contract writes paths.
    pub path: String,
    /// Type of the file system.
    pub kind: String,
    /// Options as written; empty where the row has none.
    pub options: String,
}

/// Types that name no block device: made by the kernel, or over the network.
const OTHER_KINDS: &[&str] = &[
    "9p",
    "autofs",
    "ceph",
    "cgroup",
    "cgroup2",
    "cifs",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fuse.glusterfs",
    "fuse.sshfs",
    "fusectl",
    "glusterfs",
    "hugetlbfs",
    "mqueue",
    "ncpfs",
    "nfs",
    "nfs4",
    "none",
    "overlay",
    "proc",
    "ramfs",
    "securityfs",
    "selinuxfs",
    "smb3",
    "smbfs",
    "swap",
    "sysfs",
    "tmpfs",
    "tracefs",
    "usbfs",
    "virtiofs",
    "vmhgfs",
    "fuse.vmhgfs-fuse",
    "iso9660",
    "udf",
];

impl Row {
    /// Whether the row mounts a file system of a block device that stays in the machine: not
    /// the kernel's own, swap, a share, a bind, an image file, or a medium.
    pub fn is_disk(&self) -> bool {
        let tagged = ["UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=", "ID="]
            .iter()
            .any(|tag| self.source.starts_with(tag));
        let medium = ["/dev/cdrom", "/dev/dvd", "/dev/sr", "/dev/fd"]
            .iter()
            .any(|name| self.source.starts_with(name));
        let other_kind = self.kind.split(',').all(|kind| OTHER_KINDS.contains(&kind));
        (tagged || self.source.starts_with("/dev/"))
            && !medium
            && !other_kind
            && !["bind", "rbind", "loop"]
                .iter()
                .any(|option| self.has_option(option))
    }

    /// Whether the system starts without it.
    pub fn may_be_missing(&self) -> bool {
        self.has_option("noauto") || self.has_option("nofail")
    }

    fn has_option(&self, wanted: &str) -> bool {
        self.options.split(',').any(|option| option == wanted)
    }
}

/// The rows that name an absolute path; others (swap, broken ones) are left out.
pub fn rows(text: &[u8]) -> Vec<Row> {
    text.split(|byte| *byte == b'\n').filter_map(row).collect()
}

fn row(line: &[u8]) -> Option<Row> {
    let mut fields = fields(line)?;
    let source = unescape(fields.next()?);
    let mut path = path::escape(&unescape(fields.next()?));
    while path.len() > 1 && path.ends_with('/') {
        path.pop();
    }
    path::check(&path).ok()?;
    let mut text = || {
        fields
            .next()
            .map(|field| String::from_utf8_lossy(field).into_owned())
    };
    Some(Row {
        source: String::from_utf8_lossy(&source).into_owned(),
        path,
        kind: text()?,
        options: text().unwrap_or_default(),
    })
}

/// The fields of a line that is no comment.
fn fields(line: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let line = line.trim_ascii();
    (!line.is_empty() && !line.starts_with(b"#")).then(|| {
        line.split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|field| !field.is_empty())
    })
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'\\').then(|| octal(after)).flatten();
        bytes.push(escaped.unwrap_or(*first));
        rest = match escaped {
            Some(_) => after.get(3..).unwrap_or_default(),
            None => after,
        };
    }
    bytes
}

fn octal(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits.get(..3)?).ok()?;
    let digits = digits
        .bytes()
        .all(|digit| digit.is_ascii_digit())
        .then_some(digits)?;
    u8::from_str_radix(digits, 8).ok()
}

/// The names and sources of crypttab: `/dev/mapper/NAME` is what SOURCE decrypts to.
pub fn encrypted(text: &[u8]) -> Vec<(String, String)> {
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let mut fields = fields(line)?;
            let mut text = || {
                fields
                    .next()
                    .map(|field| String::from_utf8_lossy(field).into_owned())
            };
            Some((text()?, text()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_with_all_that_fstab_allows() {
        let text = b"# /etc/fstab\n\
            UUID=aa\t/ ext4\terrors=remount-ro 0 1\r\n\
            \n\
            /dev/sda2  /my\\040disk\\134  xfs\n\
            LABEL=b /mnt/ ext4 defaults,noauto\n\
            /dev/sda3 none swap sw 0 0\n\
            broken\n\
            /dev/sda4 relative ext4 defaults";
        let found = rows(text);
        let short: Vec<(&str, &str, &str, &str)> = found
            .iter()
            .map(|row| (&*row.source, &*row.path, &*row.kind, &*row.options))
            .collect();
        assert_eq!(
            short,
            [
                ("UUID=aa", "/", "ext4", "errors=remount-ro"),
                ("/dev/sda2", "/my disk\\\\", "xfs", ""),
                ("LABEL=b", "/mnt", "ext4", "defaults,noauto"),
            ]
        );
        assert!(found[2].may_be_missing());
        assert!(!found[0].may_be_missing());
    }

    #[test]
    fn only_disks_that_stay_count() {
        for (line, disk) in [
            ("UUID=a / ext4 defaults", true),
            ("/dev/mapper/vg-root / auto defaults", true),
            ("/dev/sda1 /boot/efi vfat umask=0077", true),
            ("PARTLABEL=x /data ext4,xfs noauto", true),
            ("proc /proc proc defaults", false),
            ("/dev/sda3 / swap sw", false),
            ("tmpfs /tmp tmpfs size=1g", false),
            ("server:/home /home nfs rw", false),
            ("//server/share /mnt cifs guest", false),
            ("/srv/www /var/www none bind", false),
            ("/srv/www /var/www ext4 rw,bind", false),
            ("/dev/sda9 /x ext4 loop", false),
            ("/images/a.img /mnt ext4 loop", false),
            ("/dev/cdrom /media/cdrom0 auto ro,noauto", false),
            ("/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto", false),
        ] {
            assert_eq!(rows(line.as_bytes())[0].is_disk(), disk, "{line}");
        }
    }

    #[test]
    fn names_of_crypttab() {
        let text = b"# <name> <device>\nroot_crypt UUID=aa none luks\nbroken\nswap /dev/sda2 /dev/urandom swap\n";
        assert_eq!(
            encrypted(text),
            [
                ("root_crypt".into(), "UUID=aa".into()),
                ("swap".into(), "/dev/sda2".into())
            ]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(text in prop::collection::vec(any::<u8>(), 0..200)) {
            for row in rows(&text) {
                prop_assert!(path::check(&row.path).is_ok());
            }
            let _ = encrypted(&text);
        }
    }
}
