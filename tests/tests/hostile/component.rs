//! From the text of an attack to a component.
//!
//! A file of `tests/hostile` holds the fields of a core module. What it does not say itself is
//! added: a memory of two pages, an allocator that never frees, and for a file system the
//! functions that it does not attack with.

use cofferdam_contract::kinds::Kind;
use cofferdam_tests::workspace;
use std::path::PathBuf;
use std::sync::OnceLock;
use wit_parser::Resolve;

/// Two pages, of which the allocator takes the second.
const MEMORY: &str = "(memory (export \"memory\") 2)\n";

/// Gives memory from the second page on and takes none back.
const ALLOCATOR: &str = "(global $next (mut i32) (i32.const 65536))
(func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32)
  (global.get $next)
  (global.set $next (i32.add (global.get $next)
    (i32.and (i32.add (local.get 3) (i32.const 7)) (i32.const -8)))))\n";

/// A file system that recognises every device and holds an empty root. Answers lie at fixed
/// addresses: 1024 is zeros (ok, and nothing), 2048 the identity, 2176 the root's metadata.
const TREE: [(&str, &str, &str); 20] = [
    ("probe", "(result i32)", "(i32.const 2048)"),
    ("mount", "(param i32) (result i32)", "(i32.const 1024)"),
    ("stat", "(param i32 i32) (result i32)", "(i32.const 2176)"),
    (
        "list-directory",
        "(param i32 i32 i32 i32 i32) (result i32)",
        "(i32.const 1024)",
    ),
    (
        "read-at",
        "(param i32 i32 i64 i32) (result i32)",
        "(i32.const 1024)",
    ),
    ("read-link", "(param i32 i32) (result i32)", "(unreachable)"),
    (
        "list-xattrs",
        "(param i32 i32) (result i32)",
        "(i32.const 1024)",
    ),
    (
        "get-xattr",
        "(param i32 i32 i32 i32) (result i32)",
        "(unreachable)",
    ),
    ("free-space", "(result i32)", "(unreachable)"),
    (
        "create",
        "(param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)",
        "(i32.const 1024)",
    ),
    (
        "write-at",
        "(param i32 i32 i64 i32 i32) (result i32)",
        "(i32.const 1024)",
    ),
    (
        "truncate",
        "(param i32 i32 i64) (result i32)",
        "(i32.const 1024)",
    ),
    (
        "rename",
        "(param i32 i32 i32 i32) (result i32)",
        "(i32.const 1024)",
    ),
    (
        "link",
        "(param i32 i32 i32 i32) (result i32)",
        "(i32.const 1024)",
    ),
    (
        "symlink",
        "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)",
        "(i32.const 1024)",
    ),
    (
        "make-directory",
        "(param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)",
        "(i32.const 1024)",
    ),
    ("remove", "(param i32 i32) (result i32)", "(i32.const 1024)"),
    (
        "set-attributes",
        "(param i32 i32 i32 i32 i32) (result i32)",
        "(i32.const 1024)",
    ),
    (
        "set-xattr",
        "(param i32 i32 i32 i32 i32 i32 i32) (result i32)",
        "(i32.const 1024)",
    ),
    ("commit", "(result i32)", "(i32.const 1024)"),
];

/// `ok(some(identity))` with the kind `evil`, clean, and `ok(metadata)` of a directory.
const TREE_DATA: &str = "(data (i32.const 2000) \"evil\")
(data (i32.const 2052) \"\\01\\00\\00\\00\\d0\\07\\00\\00\\04\\00\\00\\00\")
(data (i32.const 2088) \"\\01\")
(data (i32.const 2184) \"\\02\\00\\00\\00\\00\\00\\00\\00\\01\\00\\00\\00\\ed\\01\\00\\00\\02\")\n";

/// The functions of a step, of which an attack replaces one.
const STEP: [(&str, &str); 4] = [
    ("validate", "(param i32 i32) (result i32)"),
    ("plan", "(param i32 i32) (result i32)"),
    ("execute", "(param i32 i32) (result i32)"),
    ("compensate", "(param i32 i32 i32 i32 i32) (result i32)"),
];

/// The folder of the attacks.
pub fn sources() -> PathBuf {
    workspace().join("tests/hostile")
}

/// The text of an attack, with each `{NAME}` replaced by its value and each `{NAME.length}`
/// by the length of that in bytes.
pub fn text(name: &str, values: &[(&str, &str)]) -> String {
    let path = sources().join(format!("{name}.wat"));
    let mut text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for (key, value) in values {
        let length = value.replace("\\00", "0").len();
        text = text
            .replace(&format!("{{{key}}}"), value)
            .replace(&format!("{{{key}.length}}"), &length.to_string());
    }
    text
}

/// The fields of a core module of a plugin of this kind, complete.
fn completed(kind: Kind, fields: &str) -> String {
    let mut module = format!("(module\n{fields}\n");
    let missing = |what: &str| !fields.contains(what);
    if missing("(memory ") {
        module.push_str(MEMORY);
    }
    if missing("\"cabi_realloc\"") {
        module.push_str(ALLOCATOR);
    }
    match kind {
        Kind::Filesystem => {
            module.push_str(TREE_DATA);
            for (name, signature, body) in TREE {
                let export = format!("\"{}#{name}\"", kind.export());
                if missing(&export) {
                    module.push_str(&format!("(func (export {export}) {signature} {body})\n"));
                }
            }
        }
        Kind::WorkflowStep => {
            for (name, signature) in STEP {
                let export = format!("\"{}#{name}\"", kind.export());
                if missing(&export) {
                    module.push_str(&format!(
                        "(func (export {export}) {signature} (i32.const 1024))\n"
                    ));
                }
            }
        }
        Kind::DiskSource | Kind::Inspector | Kind::Fixer => {}
    }
    module.push(')');
    module
}

/// The component of a core module in text: the fields that an attack needs.
pub fn of_fields(kind: Kind, fields: &str) -> Vec<u8> {
    let text = completed(kind, fields);
    of_module(
        kind,
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}")),
    )
}

/// The component of a core module whose imports and exports are those of the kind's world.
pub fn of_module(kind: Kind, mut module: Vec<u8>) -> Vec<u8> {
    let resolve = contract();
    let (world, _) = resolve
        .worlds
        .iter()
        .find(|(_, found)| {
            let package = found.package.map(|id| &resolve.packages[id].name);
            found.name == kind.world() && package.is_some_and(|name| name.namespace == "test")
        })
        .unwrap();
    wit_component::embed_component_metadata(
        &mut module,
        resolve,
        world,
        wit_component::StringEncoding::UTF8,
    )
    .unwrap();
    wit_component::ComponentEncoder::default()
        // What is wrong with it is for the host to find.
        .validate(false)
        .module(&module)
        .unwrap()
        .encode()
        .unwrap()
}

/// The contract, and the worlds of the tests.
fn contract() -> &'static Resolve {
    static RESOLVE: OnceLock<Resolve> = OnceLock::new();
    RESOLVE.get_or_init(|| {
        let mut resolve = Resolve::default();
        for package in [
            "types", "runtime", "reply", "disk", "guest", "tool", "plugin",
        ] {
            resolve
                .push_path(workspace().join("wit").join(package))
                .unwrap();
        }
        let mut files: Vec<PathBuf> = std::fs::read_dir(sources().join("wit"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        for file in files {
            resolve.push_path(&file).unwrap();
        }
        resolve
    })
}
