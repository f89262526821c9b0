//! Files with keys.

use crate::cli::Output;
use crate::render::{json, sayln};
use anyhow::{Context, Result};
use cofferdam_registry::Digest;
use cofferdam_registry::keys::{KeyError, PrivateKey};
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The longest file that is read for a key, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// A pair of keys that was made.
#[derive(Serialize)]
struct Pair {
    private_key: String,
    public_key: String,
    fingerprint: Digest,
}

/// Makes a pair of keys. What is there is never replaced.
pub fn keygen(name: &Path, output: Output) -> Result<ExitCode> {
    let with = |ending: &str| {
        let mut file = name.as_os_str().to_owned();
        file.push(ending);
        PathBuf::from(file)
    };
    let (private_file, public_file) = (with(".key"), with(".pub"));
    let (key, pem) = PrivateKey::generate()?;
    let public = key.public();
    write(&private_file, 0o600, &pem)?;
    if let Err(error) = write(&public_file, 0o644, &public.pem()) {
        // Half a pair is none; it was made just now and signed nothing.
        std::fs::remove_file(&private_file).ok();
        return Err(error);
    }
    let pair = Pair {
        private_key: private_file.display().to_string(),
        public_key: public_file.display().to_string(),
        fingerprint: public.fingerprint(),
    };
    match output {
        Output::Json => json(&pair)?,
        Output::Text => {
            sayln!(
                "{} signs: keep it where nobody else reads it",
                pair.private_key
            );
            sayln!("{} verifies: give it to everybody", pair.public_key);
            sayln!("the key is {}", pair.fingerprint);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write(file: &Path, mode: u32, text: &str) -> Result<()> {
    let mut open = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(file)
        .with_context(|| format!("cannot make {}; a key is never replaced", file.display()))?;
    open.write_all(text.as_bytes())
        .and_then(|()| open.sync_all())
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Reads a key.
pub fn read<T>(file: &Path, parse: impl Fn(&str) -> Result<T, KeyError>) -> Result<T> {
    let mut text = String::new();
    std::fs::File::open(file)
        .and_then(|open| open.take(MAX_FILE).read_to_string(&mut text))
        .with_context(|| format!("cannot read the key {}", file.display()))?;
    parse(&text).with_context(|| format!("the key {} cannot be used", file.display()))
}
