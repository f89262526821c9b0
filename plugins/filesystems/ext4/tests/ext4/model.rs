//! Random sequences of operations against a model in memory: the same ones succeed, the
//! same tree is there at the end, and e2fsck finds nothing.
//!
//! `PROPTEST_CASES` sets how many; a failure prints its seed and the shortest sequence.

use std::collections::BTreeMap;

use cofferdam_sdk::filesystem::FileSystem;
use cofferdam_sdk::types::{Attributes, FileKind};
use plugin_ext4::Ext4;
use proptest::prelude::*;

use crate::common::*;

const PATHS: [&str; 14] = [
    "/a",
    "/b",
    "/c",
    "/d",
    "/d/a",
    "/d/b",
    "/d/e",
    "/d/e/a",
    "/d/e/b",
    "/g",
    "/g/a",
    "/g/h",
    "/g/h/i",
    "/caf\\xe9",
];
const NAMES: [&str; 3] = ["user.a", "trusted.bb", "security.selinux"];

#[derive(Clone, Debug)]
enum Op {
    Create(usize, u16, bool),
    Directory(usize),
    Symlink(usize, usize),
    Write(usize, u32, usize, u64),
    Truncate(usize, u32),
    Rename(usize, usize),
    Link(usize, usize),
    Remove(usize),
    Attributes(usize, u16, u32),
    SetXattr(usize, usize, usize),
    RemoveXattr(usize, usize),
    Commit,
}

fn op() -> impl Strategy<Value = Op> {
    let path = 0..PATHS.len();
    // Mostly within the first blocks, sometimes far out.
    let offset = prop_oneof![6 => 0u32..20_000, 2 => 0u32..400_000, 1 => 0u32..90_000_000];
    prop_oneof![
        4 => (path.clone(), 0u16..0o10000, any::<bool>()).prop_map(|(p, m, l)| Op::Create(p, m, l)),
        3 => path.clone().prop_map(Op::Directory),
        1 => (path.clone(), 1usize..200).prop_map(|(p, n)| Op::Symlink(p, n)),
        8 => (path.clone(), offset.clone(), 1usize..30_000, any::<u64>())
            .prop_map(|(p, o, n, s)| Op::Write(p, o, n, s)),
        3 => (path.clone(), offset).prop_map(|(p, n)| Op::Truncate(p, n)),
        4 => (path.clone(), path.clone()).prop_map(|(p, q)| Op::Rename(p, q)),
        2 => (path.clone(), path.clone()).prop_map(|(p, q)| Op::Link(p, q)),
        3 => path.clone().prop_map(Op::Remove),
        1 => (path.clone(), 0u16..0o10000, 0u32..200_000).prop_map(|(p, m, o)| Op::Attributes(p, m, o)),
        3 => (path.clone(), 0..NAMES.len(), 0usize..200).prop_map(|(p, n, v)| Op::SetXattr(p, n, v)),
        1 => (path, 0..NAMES.len()).prop_map(|(p, n)| Op::RemoveXattr(p, n)),
        1 => Just(Op::Commit),
    ]
}

#[derive(Clone, Debug, PartialEq)]
enum Body {
    /// Content as pieces over zeros would be; kept whole, holes included.
    File(Vec<u8>),
    Directory,
    Symlink(String),
}

#[derive(Clone, Debug)]
struct Node {
    body: Body,
    mode: u32,
    owner: u32,
    xattrs: BTreeMap<&'static str, Vec<u8>>,
}

#[derive(Default)]
struct Model {
    names: BTreeMap<String, usize>,
    nodes: Vec<Node>,
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

impl Model {
    fn is_directory(&self, path: &str) -> bool {
        path.is_empty()
            || self
                .names
                .get(path)
                .is_some_and(|&node| self.nodes[node].body == Body::Directory)
    }

    fn is_file(&self, path: &str) -> bool {
        self.file(path).is_some()
    }

    fn file(&self, path: &str) -> Option<usize> {
        let node = *self.names.get(path)?;
        matches!(self.nodes[node].body, Body::File(_)).then_some(node)
    }

    fn has_children(&self, path: &str) -> bool {
        let below = format!("{path}/");
        self.names.keys().any(|name| name.starts_with(&below))
    }

    fn add(&mut self, path: &str, body: Body, mode: u32) -> bool {
        if self.names.contains_key(path) || !self.is_directory(parent(path)) {
            return false;
        }
        self.names.insert(path.to_string(), self.nodes.len());
        self.nodes.push(Node {
            body,
            mode,
            owner: 0,
            xattrs: BTreeMap::new(),
        });
        true
    }

    fn rename(&mut self, from: &str, to: &str) -> bool {
        let Some(&node) = self.names.get(from) else {
            return false;
        };
        if !self.is_directory(parent(to)) || to.starts_with(&format!("{from}/")) {
            return false;
        }
        if let Some(&there) = self.names.get(to) {
            if there == node {
                return true;
            }
            if self.is_directory(to) || self.is_directory(from) {
                return false;
            }
        }
        let below = format!("{from}/");
        let moved: Vec<String> = self
            .names
            .keys()
            .filter(|name| name.starts_with(&below))
            .cloned()
            .collect();
        for name in moved {
            let child = self.names.remove(&name).unwrap();
            self.names
                .insert(format!("{to}{}", &name[from.len()..]), child);
        }
        self.names.remove(from);
        self.names.insert(to.to_string(), node);
        true
    }

    /// Applies an operation; whether it should succeed.
    fn apply(&mut self, op: &Op) -> bool {
        match *op {
            Op::Create(path, mode, label) => {
                let path = PATHS[path];
                let made = self.add(path, Body::File(Vec::new()), u32::from(mode));
                if made && label {
                    let node = self.names[path];
                    self.nodes[node]
                        .xattrs
                        .insert("security.selinux", b"l\0".to_vec());
                }
                made
            }
            Op::Directory(path) => self.add(PATHS[path], Body::Directory, 0o750),
            Op::Symlink(path, length) => {
                self.add(PATHS[path], Body::Symlink("t".repeat(length)), 0o777)
            }
            Op::Write(path, offset, length, seed) => {
                let Some(node) = self.file(PATHS[path]) else {
                    return false;
                };
                if let Body::File(content) = &mut self.nodes[node].body {
                    let offset = offset as usize;
                    if content.len() < offset + length {
                        content.resize(offset + length, 0);
                    }
                    content[offset..offset + length].copy_from_slice(&pattern(seed, length));
                }
                true
            }
            Op::Truncate(path, size) => {
                let Some(node) = self.file(PATHS[path]) else {
                    return false;
                };
                if let Body::File(content) = &mut self.nodes[node].body {
                    content.resize(size as usize, 0);
                }
                true
            }
            Op::Rename(from, to) => self.rename(PATHS[from], PATHS[to]),
            Op::Link(existing, path) => {
                let (existing, path) = (PATHS[existing], PATHS[path]);
                if !self.is_file(existing)
                    || self.names.contains_key(path)
                    || !self.is_directory(parent(path))
                {
                    return false;
                }
                self.names.insert(path.to_string(), self.names[existing]);
                true
            }
            Op::Remove(path) => {
                let path = PATHS[path];
                self.names.contains_key(path)
                    && !self.has_children(path)
                    && self.names.remove(path).is_some()
            }
            Op::Attributes(path, mode, owner) => match self.names.get(PATHS[path]) {
                Some(&node) => {
                    self.nodes[node].mode = u32::from(mode);
                    self.nodes[node].owner = owner;
                    true
                }
                None => false,
            },
            Op::SetXattr(path, name, length) => match self.names.get(PATHS[path]) {
                Some(&node) => {
                    self.nodes[node]
                        .xattrs
                        .insert(NAMES[name], pattern(9, length));
                    true
                }
                None => false,
            },
            Op::RemoveXattr(path, name) => match self.names.get(PATHS[path]) {
                Some(&node) => self.nodes[node].xattrs.remove(NAMES[name]).is_some(),
                None => false,
            },
            Op::Commit => true,
        }
    }
}

fn run(fs: &mut Ext4, op: &Op) -> cofferdam_sdk::Result<()> {
    match *op {
        Op::Create(path, mode, label) => fs.create(
            PATHS[path],
            &Attributes {
                label: label.then(|| "l".to_string()),
                ..attributes(u32::from(mode))
            },
        ),
        Op::Directory(path) => fs.make_directory(PATHS[path], &attributes(0o750)),
        Op::Symlink(path, length) => {
            fs.symlink(PATHS[path], &"t".repeat(length), &attributes(0o777))
        }
        Op::Write(path, offset, length, seed) => {
            fs.write_at(PATHS[path], u64::from(offset), &pattern(seed, length))
        }
        Op::Truncate(path, size) => fs.truncate(PATHS[path], u64::from(size)),
        Op::Rename(from, to) => fs.rename(PATHS[from], PATHS[to]),
        Op::Link(existing, path) => fs.link(PATHS[existing], PATHS[path]),
        Op::Remove(path) => fs.remove(PATHS[path]),
        Op::Attributes(path, mode, owner) => {
            fs.set_attributes(PATHS[path], u32::from(mode), owner, owner / 2)
        }
        Op::SetXattr(path, name, length) => {
            fs.set_xattr(PATHS[path], NAMES[name], Some(&pattern(9, length)))
        }
        Op::RemoveXattr(path, name) => fs.set_xattr(PATHS[path], NAMES[name], None),
        Op::Commit => fs.commit(),
    }
}

/// Labels of new files at a path that is not UTF-8 are refused, and attributes taken only
/// where the inode has room, which the model does not know (see the README): the sequences
/// do without both.
fn possible(op: &Op) -> bool {
    let (Op::Create(path, _, true) | Op::SetXattr(path, ..) | Op::RemoveXattr(path, _)) = op else {
        return true;
    };
    !PATHS[*path].contains('\\')
}

fn compare(fs: &mut Ext4, model: &Model, image: &Image) {
    let mut waiting = vec![String::new()];
    let mut seen = 0;
    while let Some(directory) = waiting.pop() {
        let path = if directory.is_empty() {
            "/"
        } else {
            &directory
        };
        for (name, kind) in list(fs, path, 5).unwrap() {
            let path = format!("{directory}/{name}");
            if path == "/lost+found" {
                continue;
            }
            seen += 1;
            let node = &model.nodes[*model.names.get(&path).unwrap_or_else(|| panic!("{path}"))];
            let found = fs.stat(&path).unwrap();
            assert_eq!((found.mode, found.owner), (node.mode, node.owner), "{path}");
            match &node.body {
                Body::Directory => {
                    assert_eq!(kind, FileKind::Directory);
                    waiting.push(path.clone());
                }
                Body::Symlink(target) => assert_eq!(&fs.read_link(&path).unwrap(), target),
                Body::File(content) => {
                    let number = model.names[&path];
                    let links = model
                        .names
                        .values()
                        .filter(|&&other| other == number)
                        .count();
                    assert_eq!(found.links as usize, links, "{path}");
                    assert!(read(fs, &path) == *content, "{path} differs");
                    if !path.contains('\\') {
                        assert!(image.cat(&path) == *content, "{path} differs for debugfs");
                    }
                }
            }
            let mut names = fs.list_xattrs(&path).unwrap();
            names.sort();
            let mut expected: Vec<&str> = node.xattrs.keys().copied().collect();
            expected.sort_unstable();
            assert_eq!(names, expected, "{path}");
            for (name, value) in &node.xattrs {
                assert_eq!(&fs.get_xattr(&path, name).unwrap(), value, "{path} {name}");
            }
        }
    }
    assert_eq!(seen, model.names.len());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(36),
        max_shrink_iters: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_sequence_does_what_the_model_does(
        profile in 0..PROFILES.len(),
        ops in prop::collection::vec(op(), 1..90),
    ) {
        if !engines("any_sequence_does_what_the_model_does") {
            return Ok(());
        }
        let (name, arguments) = PROFILES[profile];
        let image = Image::new(64 * MIB, arguments);
        let mut fs = image.mount(true);
        let mut model = Model::default();
        for (at, op) in ops.iter().enumerate().filter(|(_, op)| possible(op)) {
            let expected = model.apply(op);
            let result = run(&mut fs, op);
            assert_eq!(result.is_ok(), expected, "{name}: operation {at}, {op:?}: {result:?}");
        }
        fs.commit().unwrap();
        image.check(name);
        compare(&mut fs, &model, &image);
        drop(fs);
        compare(&mut image.mount(false), &model, &image);
    }
}
