//! Kernel modules: their names, the guest's index of them, and which a disk bus needs.
//!
//! `modules.dep` has a line a module, `path: path path…`, relative to its folder (absolute
//! in indexes of module-init-tools before 3.4); `modules.builtin` a path a line
//! (modules.dep(5), Documentation/kbuild/kbuild.rst). A module's name is its file's without
//! `.ko` and what compresses it, and `-` and `_` are the same in it.

use std::collections::{BTreeMap, BTreeSet};

/// The name of the module in a file; none where the file is no module.
pub fn name_of(path: &str) -> Option<String> {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = [".ko", ".ko.gz", ".ko.xz", ".ko.zst", ".ko.lzma", ".ko.bz2"]
        .iter()
        .find_map(|suffix| file.strip_suffix(suffix))?;
    (!stem.is_empty()).then(|| normal(stem))
}

/// A module's name in the kernel's own spelling.
pub fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// The modules without which a disk on this bus is not seen, in the order to load them;
/// none for a bus that is not known. All are PCI devices of a PC or an arm64 `virt` machine.
pub fn drivers_of(bus: &str) -> Option<&'static [&'static str]> {
    Some(match bus {
        "virtio-blk" => &["virtio_pci", "virtio_blk"],
        "virtio-scsi" => &["virtio_pci", "virtio_scsi", "sd_mod"],
        "sata" => &["ahci", "sd_mod"],
        "nvme" => &["nvme"],
        _ => return None,
    })
}

/// What a kernel can load, by its own indexes.
#[derive(Debug, Default)]
pub struct Index {
    files: BTreeMap<String, Loadable>,
    builtin: BTreeSet<String>,
}

#[derive(Debug)]
struct Loadable {
    path: String,
    needs: Vec<String>,
}

impl Index {
    /// Reads the texts of `modules.dep` and `modules.builtin`. `folder` is where they are.
    pub fn parse(folder: &str, dep: &str, builtin: &str) -> Self {
        let mut index = Self::default();
        for line in dep.lines() {
            let Some((path, needs)) = line.split_once(':') else {
                continue;
            };
            let path = path.trim();
            let path = path.strip_prefix(folder).unwrap_or(path);
            let path = path.trim_start_matches('/');
            if let Some(name) = name_of(path) {
                let needs = needs.split_whitespace().filter_map(name_of).collect();
                let path = path.to_owned();
                index.files.insert(name, Loadable { path, needs });
            }
        }
        index.add_builtin(builtin);
        index
    }

    /// Adds what another `modules.builtin` names.
    pub fn add_builtin(&mut self, text: &str) {
        self.builtin
            .extend(text.lines().filter_map(|line| name_of(line.trim())));
    }

    /// Whether it is part of the kernel itself.
    pub fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(name)
    }

    /// The file of a module, relative to the folder.
    pub fn file(&self, name: &str) -> Option<&str> {
        self.files.get(name).map(|module| module.path.as_str())
    }

    /// A module and everything that it needs, none built in, each once, sorted; `Err` with
    /// the name of one that there is no file for.
    pub fn closure(&self, name: &str) -> Result<BTreeSet<String>, String> {
        let mut found = BTreeSet::new();
        let mut waiting = vec![normal(name)];
        while let Some(name) = waiting.pop() {
            if self.is_builtin(&name) || found.contains(&name) {
                continue;
            }
            let Some(module) = self.files.get(&name) else {
                return Err(name);
            };
            waiting.extend(module.needs.iter().cloned());
            found.insert(name);
        }
        Ok(found)
    }
}

/// The names in a list such as `conf/modules`: one a line with options behind it, `#`
/// begins a comment.
pub fn listed(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.split('#').next()?.split_whitespace().next())
        .map(normal)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_names() {
        let cases = [
            ("kernel/drivers/virtio/virtio_pci.ko", Some("virtio_pci")),
            ("kernel/crypto/crc32c-intel.ko.xz", Some("crc32c_intel")),
            ("a.ko.zst", Some("a")),
            ("b.ko.gz", Some("b")),
            ("modules.dep", None),
            ("x.ko.sig", None),
            (".ko", None),
        ];
        for (path, name) in cases {
            assert_eq!(name_of(path).as_deref(), name, "{path}");
        }
    }

    #[test]
    fn a_closure_holds_what_is_needed_and_not_built_in() {
        let index = Index::parse(
            "/lib/modules/6.1",
            "kernel/virtio_pci.ko: kernel/virtio-ring.ko kernel/virtio.ko\n\
             /lib/modules/6.1/kernel/virtio-ring.ko:\n\
             kernel/virtio_blk.ko: kernel/virtio-ring.ko kernel/gone.ko\n\
             kernel/loop_a.ko: kernel/loop_b.ko\n\
             kernel/loop_b.ko: kernel/loop_a.ko\n",
            "kernel/virtio.ko\n",
        );
        let names = index.closure("virtio-pci").unwrap();
        assert_eq!(Vec::from_iter(names), ["virtio_pci", "virtio_ring"]);
        assert_eq!(index.file("virtio_ring"), Some("kernel/virtio-ring.ko"));
        assert!(index.closure("virtio").unwrap().is_empty());
        assert_eq!(index.closure("virtio_blk"), Err("gone".to_owned()));
        assert_eq!(index.closure("loop_a").unwrap().len(), 2);
    }

    #[test]
    fn lists_have_options_and_comments() {
        let names = listed("# none\next4\n\n crc32c-intel x=1 # why\n");
        assert_eq!(Vec::from_iter(names), ["crc32c_intel", "ext4"]);
    }
}
