use super::*;
use crate::error::ErrorCode;

fn tree() -> MemoryFiles {
    let mut files = MemoryFiles::new();
    files
        .add_file("/etc/fstab", b"rows")
        .add_directory("/usr/lib")
        .add_file("/usr/lib/os-release", b"ID=debian")
        .add_symlink("/etc/os-release", "../usr/lib/os-release")
        .add_symlink("/lib", "usr/lib")
        .add_symlink("/escape", "../../../../etc/fstab")
        .add_symlink("/loop", "loop")
        .add_symlink("/dangling", "/nowhere/x");
    files
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> ErrorCode {
    result.unwrap_err().code
}

#[test]
fn links_resolve_inside() {
    let files = tree();
    let read = |path| files.read_to_string(path, 100);
    assert_eq!(read("/etc/os-release").unwrap(), "ID=debian");
    assert_eq!(read("/lib/os-release").unwrap(), "ID=debian");
    assert_eq!(read("/escape").unwrap(), "rows");
    assert_eq!(files.read_link("/lib").unwrap(), "usr/lib");
    assert_eq!(code(read("/loop")), ErrorCode::Invalid);
    assert_eq!(code(read("/dangling")), ErrorCode::NotFound);
    assert_eq!(code(read("/etc/fstab/x")), ErrorCode::NotFound);
    assert_eq!(code(read("/etc")), ErrorCode::Invalid);
    assert_eq!(code(read("etc/fstab")), ErrorCode::Invalid);
    assert_eq!(code(files.read("/etc/fstab", 3)), ErrorCode::Limit);
    assert!(!files.exists("/dangling").unwrap());
    assert!(files.is_directory("/lib").unwrap());
    assert!(!files.is_file("/lib").unwrap());
}

#[test]
fn directories_list_page_by_page_and_walk_in_order() {
    let mut files = MemoryFiles::new();
    for name in ["b", "a", "c", "a/x", "a-1"] {
        files.add_file(&format!("/d/{name}"), b"");
    }
    let first = files.list_directory("/d", "", 2).unwrap();
    let names = |page: &Page| -> Vec<String> {
        page.entries
            .iter()
            .map(|entry| entry.name.clone())
            .collect()
    };
    assert_eq!(names(&first), ["a", "a-1"]);
    let second = files.list_directory("/d", &first.next.unwrap(), 2).unwrap();
    assert_eq!(names(&second), ["b", "c"]);
    assert_eq!(second.next, None);

    let tree = tree();
    let walked: Vec<String> = tree
        .walk("/", 100)
        .unwrap()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.starts_with("/usr"))
        .collect();
    assert_eq!(walked, ["/usr", "/usr/lib", "/usr/lib/os-release"]);
    assert_eq!(code(tree.walk("/", 3)), ErrorCode::Limit);
}

#[test]
fn names_and_inodes_are_different_things() {
    let mut files = tree();
    files.link("/etc/fstab", "/etc/second").unwrap();
    assert_eq!(files.stat("/etc/fstab", false).unwrap().links, 2);
    files.write("/etc/second", b"new").unwrap();
    assert_eq!(files.content("/etc/fstab").unwrap(), b"new");
    files.remove("/etc/fstab").unwrap();
    assert_eq!(files.content("/etc/second").unwrap(), b"new");
    files.copy("/etc/second", "/etc/third").unwrap();
    files.write("/etc/third", b"3").unwrap();
    assert_eq!(files.content("/etc/second").unwrap(), b"new");
}

#[test]
fn rename_moves_what_is_below_and_replaces_files_only() {
    let mut files = tree();
    files.rename("/usr", "/opt").unwrap();
    assert_eq!(files.content("/opt/lib/os-release").unwrap(), b"ID=debian");
    assert!(!files.exists("/usr/lib").unwrap());
    files.add_file("/etc/other", b"other");
    files.rename("/etc/other", "/etc/fstab").unwrap();
    assert_eq!(files.content("/etc/fstab").unwrap(), b"other");
    assert_eq!(code(files.rename("/etc/fstab", "/opt")), ErrorCode::Exists);
    assert_eq!(code(files.rename("/opt", "/opt/lib/x")), ErrorCode::Invalid);
    assert_eq!(code(files.rename("/nowhere", "/x")), ErrorCode::NotFound);
}

#[test]
fn what_cannot_be_changed_says_why() {
    let mut files = tree();
    let root = Attributes::root(0o644);
    assert_eq!(
        code(files.create("/etc/fstab", b"", &root)),
        ErrorCode::Exists
    );
    assert_eq!(code(files.create("/no/x", b"", &root)), ErrorCode::NotFound);
    assert_eq!(code(files.write("/etc", b"")), ErrorCode::Invalid);
    assert_eq!(code(files.write("/etc/no", b"")), ErrorCode::NotFound);
    assert_eq!(code(files.remove("/etc")), ErrorCode::Conflict);
    assert_eq!(code(files.remove("/")), ErrorCode::Conflict);
    assert_eq!(code(files.set_mode("/etc", 0o10000)), ErrorCode::Invalid);
    assert_eq!(
        code(files.set_xattr("/etc", "user.x", None)),
        ErrorCode::NotFound
    );
    files.write("/escape", b"through the link").unwrap();
    assert_eq!(files.content("/etc/fstab").unwrap(), b"through the link");
}
