//! `cofferdam plugin push`, `pull`, `search`, `keygen`, `sign` and `verify`.
//!
//! They are about registries and this machine's files; no host is asked.

mod keys;

pub use keys::keygen;

use crate::cli::{AskRegistry, Global, Output};
use crate::config::Config;
use crate::render::{bytes, json, safe_line, sayln};
use anyhow::{Context, Result};
use cofferdam_registry::artifact::{self, About};
use cofferdam_registry::keys::{PrivateKey, PublicKey};
use cofferdam_registry::policy::{Policy, Signer};
use cofferdam_registry::{Client, Digest, Place, Reference};
use cofferdam_runtime::{Inspection, MAX_COMPONENT_BYTES, PluginFile, inspect};
use serde::Serialize;
use std::fs::Permissions;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What was pushed or pulled.
#[derive(Serialize)]
struct Moved<'a> {
    /// By its digest.
    reference: String,
    digest: &'a Digest,
    id: &'a str,
    version: &'a str,
    kind: &'a str,
    /// SHA-256 of the component, hexadecimal.
    component: &'a str,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

impl<'a> Moved<'a> {
    fn new(inspection: &'a Inspection, reference: &Reference, digest: &'a Digest) -> Self {
        Self {
            reference: reference.pinned(digest).to_string(),
            digest,
            id: &inspection.manifest.id,
            version: &inspection.manifest.version,
            kind: inspection.kind.world(),
            component: &inspection.digest,
            size: inspection.size,
            file: None,
        }
    }
}

/// A client as the configuration and the command line have it.
fn client(config: &Config, registry: &str, ask: AskRegistry) -> Result<Client> {
    crate::host::tls::install_provider();
    let settings = config.registry.client(ask.plain_http.then_some(registry))?;
    Ok(Client::new(settings)?)
}

/// Puts a component into a registry.
pub async fn push(
    file: &Path,
    reference: &str,
    ask: AskRegistry,
    global: &Global,
) -> Result<ExitCode> {
    let no_plugin = || format!("{} is no plugin for this host", file.display());
    // Looks at what kind of file it is, too: a pipe has no end.
    PluginFile::read(file).with_context(no_plugin)?;
    let mut component = Vec::new();
    std::fs::File::open(file)
        .and_then(|open| {
            open.take(MAX_COMPONENT_BYTES + 1)
                .read_to_end(&mut component)
        })
        .with_context(|| format!("cannot read {}", file.display()))?;
    let inspection = inspect(&component).with_context(no_plugin)?;
    let manifest = &inspection.manifest;
    // Versions may have a `+`, which tags may not.
    let tag = manifest.version.replace('+', "_");
    let reference = reference.parse::<Reference>()?.or_tag(&tag);
    let config = Config::read(global.config.as_deref())?;
    let client = client(&config, &reference.repository.registry, ask)?;
    let artifact = artifact::of(
        &component,
        &About {
            id: manifest.id.clone(),
            version: manifest.version.clone(),
            summary: manifest.summary.clone(),
            world: format!("cofferdam:plugin/{}@0.1.0", inspection.kind.world()),
            exports: vec![inspection.kind.export().to_owned()],
            imports: inspection
                .imports
                .iter()
                .chain(&inspection.wasi)
                .cloned()
                .collect(),
        },
    )?;
    let digest = client.push(&reference, &artifact, component.into()).await?;
    let moved = Moved::new(&inspection, &reference, &digest);
    match global.output {
        Output::Json => json(&moved)?,
        Output::Text => sayln!(
            "pushed {} {} ({}) to {}",
            safe_line(moved.id),
            safe_line(moved.version),
            bytes(moved.size),
            moved.reference
        ),
    }
    Ok(ExitCode::SUCCESS)
}

/// Gets a component out of a registry.
pub async fn pull(
    reference: &str,
    out: Option<&Path>,
    ask: AskRegistry,
    global: &Global,
) -> Result<ExitCode> {
    let reference: Reference = reference.parse()?;
    let config = Config::read(global.config.as_deref())?;
    let client = client(&config, &reference.repository.registry, ask)?;
    let resolved = client.resolve(&reference).await?;
    let component = client.component(&resolved).await?;
    let inspection = inspect(&component)
        .with_context(|| format!("{} is no plugin for this host", resolved.reference))?;
    let file = match out {
        Some(file) => file.to_owned(),
        None => PathBuf::from(format!("{}.wasm", inspection.manifest.id)),
    };
    write(&file, &component).with_context(|| format!("cannot write {}", file.display()))?;
    let mut moved = Moved::new(&inspection, &reference, &resolved.digest);
    moved.file = Some(file.display().to_string());
    match global.output {
        Output::Json => json(&moved)?,
        Output::Text => {
            sayln!(
                "pulled {} {} ({}) to {}",
                safe_line(moved.id),
                safe_line(moved.version),
                bytes(moved.size),
                file.display()
            );
            sayln!("it is {}", moved.reference);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a file whole, or not at all.
fn write(file: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut part = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut part, content)?;
    part.as_file().sync_all()?;
    // A temporary file is its owner's alone.
    part.as_file()
        .set_permissions(Permissions::from_mode(0o644))?;
    part.persist(file)?;
    Ok(())
}

/// Finds plugins in a registry.
pub async fn search(
    place: &str,
    text: &[String],
    ask: AskRegistry,
    global: &Global,
) -> Result<ExitCode> {
    let place: Place = place.parse()?;
    let config = Config::read(global.config.as_deref())?;
    let client = client(&config, &place.registry, ask)?;
    let hits = client.search(&place, &text.join(" ")).await?;
    if global.output == Output::Json {
        json(&hits)?;
        return Ok(ExitCode::SUCCESS);
    }
    for found in &hits.items {
        sayln!(
            "{}  {} {}: {}",
            safe_line(&found.reference),
            safe_line(&found.id),
            safe_line(&found.version),
            safe_line(&found.summary)
        );
    }
    if hits.items.is_empty() {
        sayln!("no plugin was found in {place}");
    }
    if hits.truncated {
        sayln!("the registry has more than was looked at; name a longer prefix");
    }
    Ok(ExitCode::SUCCESS)
}

/// Who signed what.
#[derive(Serialize)]
struct Signed<'a> {
    /// By its digest.
    reference: String,
    digest: &'a Digest,
    signers: &'a [Signer],
}

/// Signs a plugin in a registry.
pub async fn sign(
    reference: &str,
    key: &Path,
    ask: AskRegistry,
    global: &Global,
) -> Result<ExitCode> {
    let reference: Reference = reference.parse()?;
    let private = keys::read(key, PrivateKey::read)?;
    let config = Config::read(global.config.as_deref())?;
    let client = client(&config, &reference.repository.registry, ask)?;
    let resolved = client.resolve(&reference).await?;
    // Who signs vouches for the component: it has to be there, whole, and a plugin.
    let component = client.component(&resolved).await?;
    inspect(&component)
        .with_context(|| format!("{} is no plugin for this host", resolved.reference))?;
    client.sign(&resolved, &private).await?;
    let signer = Signer {
        name: key.display().to_string(),
        fingerprint: private.public().fingerprint(),
    };
    match global.output {
        Output::Json => json(&Signed {
            reference: resolved.reference.to_string(),
            digest: &resolved.digest,
            signers: &[signer],
        })?,
        Output::Text => sayln!(
            "signed {} with the key {}",
            resolved.reference,
            signer.fingerprint
        ),
    }
    Ok(ExitCode::SUCCESS)
}

/// Says who signed a plugin, and whether that is who has to have.
pub async fn verify(
    reference: &str,
    key: Option<&Path>,
    ask: AskRegistry,
    global: &Global,
) -> Result<ExitCode> {
    let reference: Reference = reference.parse()?;
    let repository = &reference.repository;
    let config = Config::read(global.config.as_deref())?;
    let policy = match key {
        Some(file) => {
            let public = keys::read(file, PublicKey::read)?;
            Policy::of_key(&file.display().to_string(), public, repository)
        }
        None => config.registry.policy()?,
    };
    // Before anybody is asked.
    policy.needs_signatures(repository)?;
    let client = client(&config, &repository.registry, ask)?;
    let resolved = client.resolve(&reference).await?;
    let signatures = client.signatures(&resolved).await?;
    let signers = policy.judge(repository, &resolved.digest, &signatures)?;
    // What they signed is the manifest; that names the component, which has to be that.
    client.component(&resolved).await?;
    match global.output {
        Output::Json => json(&Signed {
            reference: resolved.reference.to_string(),
            digest: &resolved.digest,
            signers: &signers,
        })?,
        Output::Text => {
            sayln!("{} is whole", resolved.reference);
            for signer in &signers {
                sayln!(
                    "signed by {} ({})",
                    safe_line(&signer.name),
                    signer.fingerprint
                );
            }
            if signers.is_empty() {
                sayln!("nobody whose key is known here signed it, and nobody has to have");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
