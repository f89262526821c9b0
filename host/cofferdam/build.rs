//! Lists the files below `sdk/`, which the program carries: SDKs and templates for
//! `cofferdam plugin new`, so that it needs neither this tree nor a server.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Folders of tools, which belong to nobody's sources.
const NOT_SOURCES: [&str; 4] = ["target", "node_modules", "__pycache__", "dist"];

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let sdk = here.join("../../sdk").canonicalize()?;
    let mut files = Vec::new();
    collect(&sdk, &mut files)?;
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        let name = file.strip_prefix(&sdk).unwrap_or(file);
        // Formatting into a text cannot fail.
        let _ = writeln!(
            table,
            "({:?}, include_bytes!({:?})),",
            name.to_string_lossy(),
            file.to_string_lossy()
        );
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("sdk.rs"), table)
}

/// Adds the files below `folder`. Cargo is told of folders and not of `sdk/` as a whole, so
/// that what tools leave there does not count as a change.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            if !name.starts_with('.') && !NOT_SOURCES.contains(&name.as_ref()) {
                collect(&entry.path(), files)?;
            }
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
