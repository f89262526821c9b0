//! The installed kernels: image, initial RAM file system and modules, joined by release.
//!
//! Names in /boot, by distribution: `vmlinuz-RELEASE` with `initrd.img-RELEASE` (Debian),
//! `initramfs-RELEASE.img` (Fedora, RHEL), `initrd-RELEASE` (SUSE), `kernel-RELEASE`
//! (Gentoo); `vmlinuz-FLAVOUR` with `initramfs-FLAVOUR[.img]`, where the flavour is named by
//! the modules folder's `pkgbase` (Arch) or ends its name (Alpine). kernel-install(8) makes
//! `/boot/MACHINE-ID/RELEASE/linux` with `initrd`.

use cofferdam_sdk::types::{FileKind, Kernel};
use cofferdam_sdk::{FileTree, Result, path};

use crate::lenient;

/// What image names begin with; of two for one release the first counts.
const IMAGES: [&str; 5] = ["vmlinuz-", "vmlinux-", "kernel-", "bzImage-", "Image-"];
/// What beside an image is none.
const NO_IMAGE: [&str; 9] = [
    ".gz", ".xz", ".bz2", ".zst", ".sig", ".hmac", ".sha256", ".bak", ".config",
];
/// Where modules are.
const MODULES: [&str; 2] = ["/lib/modules", "/usr/lib/modules"];
/// A pkgbase is a word.
const PKGBASE: u64 = 4096;

/// The kernels in /boot by release.
pub fn find(view: &dyn FileTree) -> Result<Vec<Kernel>> {
    let mut kernels: Vec<Kernel> = Vec::new();
    let modules = modules(view)?;
    let names: Vec<String> = lenient::entries(view, "/boot")?
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    for prefix in IMAGES {
        for name in &names {
            let Some(suffix) = name.strip_prefix(prefix) else {
                continue;
            };
            let other = NO_IMAGE.iter().any(|end| suffix.ends_with(end));
            let image = path::join("/boot", name);
            if other || suffix.is_empty() || !view.is_file(&image)? {
                continue;
            }
            let initrd = initrds(suffix)
                .into_iter()
                .find(|wanted| names.contains(wanted))
                .map(|name| path::join("/boot", &name));
            add(&mut kernels, suffix, image, initrd, &modules);
        }
    }
    for name in names.iter().filter(|name| is_machine_id(name)) {
        let folder = path::join("/boot", name);
        for entry in lenient::entries(view, &folder)? {
            let folder = path::join(&folder, &entry.name);
            let image = path::join(&folder, "linux");
            if entry.kind != FileKind::Directory || !view.is_file(&image)? {
                continue;
            }
            let initrd = path::join(&folder, "initrd");
            let initrd = view.is_file(&initrd)?.then_some(initrd);
            add(&mut kernels, &entry.name, image, initrd, &modules);
        }
    }
    kernels.sort_by(|left, right| left.version.cmp(&right.version));
    Ok(kernels)
}

fn add(
    kernels: &mut Vec<Kernel>,
    suffix: &str,
    image: String,
    initrd: Option<String>,
    modules: &[Modules],
) {
    let found = modules
        .iter()
        .find(|modules| modules.release == suffix)
        .or_else(|| {
            modules
                .iter()
                .find(|modules| modules.flavour.as_deref() == Some(suffix))
        })
        .or_else(|| {
            let end = format!("-{suffix}");
            let mut fits = modules
                .iter()
                .filter(|modules| modules.release.ends_with(&end));
            fits.next().filter(|_| fits.next().is_none())
        });
    let version = found.map_or(suffix, |modules| &modules.release);
    if kernels.iter().any(|known| known.version == version) {
        return;
    }
    kernels.push(Kernel {
        version: version.to_owned(),
        image,
        initrd,
        modules: found.map(|modules| modules.path.clone()),
    });
}

fn initrds(release: &str) -> [String; 5] {
    [
        format!("initrd.img-{release}"),
        format!("initramfs-{release}.img"),
        format!("initrd-{release}"),
        format!("initramfs-{release}"),
        format!("initrd-{release}.img"),
    ]
}

fn is_machine_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// One modules folder.
struct Modules {
    release: String,
    path: String,
    flavour: Option<String>,
}

fn modules(view: &dyn FileTree) -> Result<Vec<Modules>> {
    let mut found: Vec<Modules> = Vec::new();
    for folder in MODULES {
        for entry in lenient::entries(view, folder)? {
            let path = path::join(folder, &entry.name);
            // /lib is often a link to /usr/lib.
            let known = found.iter().any(|known| known.release == entry.name);
            if known || !view.is_directory(&path)? {
                continue;
            }
            let pkgbase = path::join(&path, "pkgbase");
            let flavour = lenient::text(view, &pkgbase, PKGBASE)?;
            found.push(Modules {
                release: entry.name,
                path,
                flavour: flavour.map(|text| text.trim().to_owned()),
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_sdk::testing::MemoryFiles;

    fn found(files: &[&str]) -> Vec<(String, String, Option<String>, Option<String>)> {
        let mut tree = MemoryFiles::new();
        for path in files {
            match path.strip_suffix('/') {
                Some(folder) => tree.add_directory(folder),
                None => tree.add_file(path, b"linux\n"),
            };
        }
        let kernels = find(&tree).unwrap().into_iter();
        kernels
            .map(|kernel| (kernel.version, kernel.image, kernel.initrd, kernel.modules))
            .collect()
    }

    #[test]
    fn one_kernel_in_each_distributions_names() {
        for (files, version, image, initrd, modules) in [
            (
                &[
                    "/boot/vmlinuz-6.1.0-44-amd64",
                    "/boot/initrd.img-6.1.0-44-amd64",
                    "/lib/modules/6.1.0-44-amd64/",
                    "/boot/config-6.1.0-44-amd64",
                ][..],
                "6.1.0-44-amd64",
                "/boot/vmlinuz-6.1.0-44-amd64",
                Some("/boot/initrd.img-6.1.0-44-amd64"),
                Some("/lib/modules/6.1.0-44-amd64"),
            ),
            (
                &[
                    "/boot/vmlinuz-5.14.0-427.el9.x86_64",
                    "/boot/initramfs-5.14.0-427.el9.x86_64.img",
                    "/boot/initramfs-5.14.0-427.el9.x86_64kdump.img",
                    "/usr/lib/modules/5.14.0-427.el9.x86_64/",
                ],
                "5.14.0-427.el9.x86_64",
                "/boot/vmlinuz-5.14.0-427.el9.x86_64",
                Some("/boot/initramfs-5.14.0-427.el9.x86_64.img"),
                Some("/usr/lib/modules/5.14.0-427.el9.x86_64"),
            ),
            (
                &[
                    "/boot/vmlinuz-5.3.18-59-default",
                    "/boot/vmlinux-5.3.18-59-default.gz",
                    "/boot/initrd-5.3.18-59-default",
                    "/lib/modules/5.3.18-59-default/",
                ],
                "5.3.18-59-default",
                "/boot/vmlinuz-5.3.18-59-default",
                Some("/boot/initrd-5.3.18-59-default"),
                Some("/lib/modules/5.3.18-59-default"),
            ),
            (
                &[
                    "/boot/vmlinuz-linux",
                    "/boot/initramfs-linux.img",
                    "/boot/initramfs-linux-fallback.img",
                    "/usr/lib/modules/6.9.1-arch1-1/pkgbase",
                ],
                "6.9.1-arch1-1",
                "/boot/vmlinuz-linux",
                Some("/boot/initramfs-linux.img"),
                Some("/usr/lib/modules/6.9.1-arch1-1"),
            ),
            (
                &[
                    "/boot/vmlinuz-lts",
                    "/boot/initramfs-lts",
                    "/lib/modules/6.6.31-0-lts/",
                ],
                "6.6.31-0-lts",
                "/boot/vmlinuz-lts",
                Some("/boot/initramfs-lts"),
                Some("/lib/modules/6.6.31-0-lts"),
            ),
            (
                &[
                    "/boot/0123456789abcdef0123456789abcdef/6.8.5/linux",
                    "/boot/0123456789abcdef0123456789abcdef/6.8.5/initrd",
                    "/lib/modules/6.8.5/",
                ],
                "6.8.5",
                "/boot/0123456789abcdef0123456789abcdef/6.8.5/linux",
                Some("/boot/0123456789abcdef0123456789abcdef/6.8.5/initrd"),
                Some("/lib/modules/6.8.5"),
            ),
            (
                &["/boot/kernel-6.1.1-gentoo"],
                "6.1.1-gentoo",
                "/boot/kernel-6.1.1-gentoo",
                None,
                None,
            ),
        ] {
            let expected = (
                version.to_owned(),
                image.to_owned(),
                initrd.map(str::to_owned),
                modules.map(str::to_owned),
            );
            assert_eq!(found(files), [expected], "{version}");
        }
    }

    #[test]
    fn every_kernel_and_nothing_else() {
        let found = found(&[
            "/boot/vmlinuz-2",
            "/boot/vmlinuz-1",
            "/boot/vmlinuz-1.hmac",
            "/boot/vmlinuz-0-rescue-abc",
            "/boot/vmlinuz",
            "/boot/vmlinuz-",
            "/boot/System.map-1",
            "/boot/vmlinuz-folder/",
            "/boot/grub/",
            "/lib/modules/1/",
            "/lib/modules/3/",
            "/lib/modules/a-5/",
            "/lib/modules/b-5/",
            "/boot/vmlinuz-5",
        ]);
        let versions: Vec<(&str, bool)> = found
            .iter()
            .map(|(version, _, _, modules)| (&**version, modules.is_some()))
            .collect();
        assert_eq!(
            versions,
            [
                ("0-rescue-abc", false),
                ("1", true),
                ("2", false),
                ("5", false)
            ]
        );
        assert_eq!(super::find(&MemoryFiles::new()).unwrap(), []);
    }
}
