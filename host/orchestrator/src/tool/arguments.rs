//! A request held against its grant, and artifacts as arguments.
//!
//! The operator's patterns see an artifact argument as its template, with `{}` where the
//! path goes, so they never depend on where the state folder is. The path that replaces it
//! is always `artifacts/OPERATION-N-NAME`, relative to the working folder: a symbolic link
//! whose name has only letters, digits, `.`, `_` and `-`. So no path can hold what a program
//! reads as something else: a comma, a line break, a leading dash, a protocol.

use super::grant::{Denier, GrantedTool, is_name};
use super::supervisor::output;
use crate::grants::{Granted, READ_AT_START, quoted};
use cofferdam_contract::types::{ArtifactArgument, Error, ErrorCode, ToolArgument, ToolRequest};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Where the path goes in a template.
const PLACE: &str = "{}";

/// The longest argument that a refusal shows, bytes.
const LONGEST_SHOWN: usize = 200;

/// The folder of the links, in the working folder.
const LINKS: &str = "artifacts";

/// The most characters of an artifact's own name in a link's; the end is kept, because
/// programs look at extensions.
const MOST_OF_NAME: usize = 100;

/// Checks a request's form (`invalid`) and holds it against what was granted (`denied`).
/// `step` is the step's id: only its own artifacts may be written.
pub fn check<'a>(
    granted: &'a Granted,
    step: &str,
    request: &ToolRequest,
) -> Result<&'a GrantedTool, Error> {
    check_form(request)?;
    let tool = granted.tool(&request.program)?;
    for (index, argument) in request.arguments.iter().enumerate() {
        let text = match argument {
            ToolArgument::Text(text) => text,
            ToolArgument::Artifact(artifact) => {
                check_writable(step, artifact)?;
                &artifact.template
            }
        };
        if let Some(denier) = tool.denied_by(text) {
            let what = describe(&request.program, index, text);
            let wanted = pattern(text);
            return Err(match denier {
                Denier::Operator => denied_by_operator(granted, &request.program, &what, &wanted),
                Denier::Step => denied_by_step(step, &request.program, &what, &wanted),
            });
        }
    }
    Ok(tool)
}

/// What identifies a request: the journal compares it, and must not hold arguments, which
/// may be anything, a secret too.
pub fn digest(request: &ToolRequest) -> Result<String, Error> {
    let bytes = serde_json::to_vec(request)
        .map_err(|error| Error::new(ErrorCode::Other, error.to_string()))?;
    Ok(hex::encode(Sha256::digest(bytes)))
}

/// The arguments as the program gets them; makes the links in the folder `work`.
/// `artifacts` are the files behind the artifact arguments, in their order.
pub fn place(
    work: &Path,
    request: &ToolRequest,
    artifacts: &[PathBuf],
) -> std::io::Result<Vec<String>> {
    let mut files = artifacts.iter();
    let mut placed = Vec::new();
    for (index, argument) in request.arguments.iter().enumerate() {
        placed.push(match argument {
            ToolArgument::Text(text) => text.clone(),
            ToolArgument::Artifact(artifact) => {
                let name = format!(
                    "{}-{index}-{}",
                    request.operation,
                    safe_name(&artifact.reference)
                );
                let file = files.next().ok_or_else(|| {
                    std::io::Error::other("an artifact argument has no file behind it")
                })?;
                link(work, &name, file)?;
                artifact
                    .template
                    .replacen(PLACE, &format!("{LINKS}/{name}"), 1)
            }
        });
    }
    Ok(placed)
}

/// The references of the artifact arguments, in their order.
pub fn references(request: &ToolRequest) -> impl Iterator<Item = &ArtifactArgument> {
    request
        .arguments
        .iter()
        .filter_map(|argument| match argument {
            ToolArgument::Text(_) => None,
            ToolArgument::Artifact(artifact) => Some(artifact),
        })
}

/// What is relied on below and by the supervisor. How much a component may ask for is
/// checked where its request comes in.
fn check_form(request: &ToolRequest) -> Result<(), Error> {
    if !is_name(&request.operation) {
        return Err(Error::invalid(format!(
            "`{}` cannot name an operation; use 1 to 64 characters out of a-z, 0-9, `-`, `_` and `.`, the first a letter or a digit",
            request.operation
        )));
    }
    for (index, argument) in request.arguments.iter().enumerate() {
        let (text, places) = match argument {
            ToolArgument::Text(text) => (text, None),
            ToolArgument::Artifact(artifact) => {
                let template = &artifact.template;
                (template, Some(template.matches(PLACE).count()))
            }
        };
        if text.contains('\0') {
            return Err(Error::invalid(format!(
                "argument {index} has a NUL character"
            )));
        }
        if places.is_some_and(|places| places != 1) {
            return Err(Error::invalid(format!(
                "the template `{text}` of argument {index} needs `{PLACE}` exactly once"
            )));
        }
    }
    output::compile(&request.stop_when)
        .map(drop)
        .map_err(|error| Error::invalid(format!("stop-when has what is no expression: {error}")))
}

fn check_writable(step: &str, artifact: &ArtifactArgument) -> Result<(), Error> {
    let own = artifact
        .reference
        .strip_prefix("artifact:")
        .and_then(|name| name.strip_prefix(step))
        .is_some_and(|rest| rest.starts_with('/'));
    if own || !artifact.writable {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::Denied,
        format!(
            "the step {step} may not write {}, because it did not keep that artifact itself",
            artifact.reference
        ),
    )
    .with_hint("copy it in the working folder, or give it to the program without `writable`"))
}

/// Which argument it is, for people.
fn describe(program: &str, index: usize, text: &str) -> String {
    // Whole or not at all: of a secret that is cut in two no half would be recognised.
    let shown = match text.len() {
        0..=LONGEST_SHOWN => format!("`{text}`"),
        length => format!("which has {length} bytes"),
    };
    format!("argument {index} of the program `{program}`, {shown},")
}

/// What allows an argument, to be written among others.
fn pattern(text: &str) -> String {
    match text.len() {
        0..=LONGEST_SHOWN => quoted(&regex::escape(text)),
        _ => "a pattern for it".to_owned(),
    }
}

fn denied_by_operator(granted: &Granted, program: &str, what: &str, wanted: &str) -> Error {
    let plugin = granted.plugin();
    Error::new(
        ErrorCode::Denied,
        format!("{what} matches no pattern that was granted to the plugin {plugin}"),
    )
    .with_hint(format!(
        "where it is wanted, the operator adds {wanted} to `arguments` of [plugins.{plugin}.grants.tool.{program}] in cofferdam.toml{READ_AT_START}"
    ))
}

fn denied_by_step(step: &str, program: &str, what: &str, wanted: &str) -> Error {
    Error::new(
        ErrorCode::Denied,
        format!(
            "{what} matches no pattern of the step {step}, which has `trust: none` and narrows what the operator granted"
        ),
    )
    .with_hint(format!(
        "if the step is to have it, add {wanted} to `arguments` under `grants.tool.{program}` of the step in the workflow"
    ))
}

/// What is left of an artifact's name where only harmless characters may be.
fn safe_name(reference: &str) -> String {
    let name = reference.rsplit('/').next().unwrap_or_default();
    let safe: Vec<char> = name
        .chars()
        .map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => character,
            _ => '_',
        })
        .collect();
    let from = safe.len().saturating_sub(MOST_OF_NAME);
    safe.get(from..).unwrap_or_default().iter().collect()
}

/// Makes `work/artifacts/name` a link to `file`. A program may have left a link in the place
/// of the folder: no link is followed, so nothing is made elsewhere.
fn link(work: &Path, name: &str, file: &Path) -> std::io::Result<()> {
    let folder = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let work = rustix::fs::openat(CWD, work, folder, Mode::empty())?;
    match rustix::fs::mkdirat(&work, LINKS, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let links = rustix::fs::openat(&work, LINKS, folder, Mode::empty())?;
    match rustix::fs::unlinkat(&links, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(rustix::fs::symlinkat(file, &links, name)?)
}

#[cfg(test)]
mod tests;
