//! What a file is, without running or compiling it.
//!
//! Only the outermost level of the component is read: its imports, exports and custom
//! sections. Whether the code inside is valid is found when it is compiled.
//!
//! An imported interface without functions gives a plugin nothing (it only names types),
//! so only those with functions are held against what its world may have.

use crate::error::LoadError;
use cofferdam_contract::grants::{self, Granted, Want, capability, sends_http, wants};
use cofferdam_contract::kinds::Kind;
use cofferdam_contract::manifest::{Manifest, SECTION};
use serde::Serialize;
use sha2::{Digest, Sha256};
use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind,
    ComponentType, ComponentTypeRef, Encoding, InstanceTypeDeclaration, Parser, Payload,
};

/// The largest file that is compiled, bytes. Compiling takes a second or more of CPU for
/// each MiB; the largest language runtimes (Python, JavaScript) have 12 to 20 MiB.
pub const MAX_COMPONENT_BYTES: u64 = 64 << 20;

/// The WASI 0.2 packages that are linked, inert.
const WASI_PACKAGES: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// Which kind of plugin it is.
    pub kind: Kind,
    /// Its manifest.
    pub manifest: Manifest,
    /// Sha256 of the file, lower-case hexadecimal.
    pub digest: String,
    /// Length of the file in bytes.
    pub size: u64,
    /// The interfaces it imports functions of, inert WASI apart: the capabilities it holds
    /// once those that its world does not have are granted.
    pub imports: Vec<String>,
    /// The WASI interfaces it imports; all are inert.
    pub wasi: Vec<String>,
}

/// Reads a component and says which kind of plugin it is, or why it is none.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, LoadError> {
    let size = bytes.len() as u64;
    if size > MAX_COMPONENT_BYTES {
        return Err(LoadError::TooLarge {
            size,
            most: MAX_COMPONENT_BYTES,
        });
    }
    let outline = Outline::read(bytes)?;
    let kind = outline.kind()?;
    let manifest = outline.manifest()?;
    let (wasi, imports) = outline.checked_imports(kind)?;
    check_capabilities(kind, &manifest, &imports)?;
    Ok(Inspection {
        kind,
        manifest,
        digest: hex::encode(Sha256::digest(bytes)),
        size,
        imports,
        wasi,
    })
}

/// What a manifest asks for is what the kind may be granted, and all that is imported.
fn check_capabilities(
    kind: Kind,
    manifest: &Manifest,
    imports: &[String],
) -> Result<(), LoadError> {
    for wanted in &manifest.capabilities {
        let grantable = kind.grantable_imports().iter();
        if !grantable
            .copied()
            .any(|import| capability(import) == wanted.name)
        {
            return Err(LoadError::ForbiddenCapability {
                capability: wanted.name.clone(),
                kind: kind.to_string(),
            });
        }
    }
    for import in imports {
        let inherent = kind.inherent_imports().contains(&import.as_str());
        let name = capability(import);
        if !inherent
            && !manifest
                .capabilities
                .iter()
                .any(|wanted| wanted.name == name)
        {
            return Err(LoadError::Undeclared(import.clone()));
        }
    }
    Ok(())
}

impl Inspection {
    /// Refuses a component that imports what was not granted to it.
    pub fn check_grants(&self, granted: &Granted) -> Result<(), LoadError> {
        let id = &self.manifest.id;
        let mut missing = self.wants();
        missing.retain(|want| !granted.holds(id, &want.interface));
        if missing.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = missing.iter().map(|want| self.lines(want)).collect();
        Err(LoadError::NotGranted {
            missing,
            lines: lines.join("\n"),
        })
    }

    /// The capabilities that it needs grants for, and why.
    pub fn wants(&self) -> Vec<Want> {
        wants(&self.manifest, &self.imports)
    }

    /// The lines of `cofferdam.toml` that grant what it wants as it proposes.
    pub fn lines(&self, want: &Want) -> String {
        grants::lines(&self.manifest.id, &want.interface, &want.grant).unwrap_or_else(|error| {
            format!("# the plugin's own proposal cannot be written: {error}\n")
        })
    }
}

/// The outermost level of a component.
#[derive(Default)]
struct Outline {
    /// Names, and whether something other than types is imported.
    imports: Vec<(String, bool)>,
    exports: Vec<String>,
    manifests: Vec<Vec<u8>>,
    /// For each type: whether it is that of an instance without functions.
    type_only: Vec<bool>,
}

fn damaged(error: BinaryReaderError) -> LoadError {
    LoadError::NotWasm {
        reason: error.message().to_owned(),
        offset: error.offset() as u64,
    }
}

impl Outline {
    fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        let mut outline = Self::default();
        let mut parser = Parser::new(0);
        let mut rest = bytes;
        loop {
            let (payload, consumed) = match parser.parse(rest, true).map_err(damaged)? {
                wasmparser::Chunk::Parsed { payload, consumed } => (payload, consumed),
                wasmparser::Chunk::NeedMoreData(_) => {
                    return Err(LoadError::NotWasm {
                        reason: "the file ends early".to_owned(),
                        offset: bytes.len() as u64,
                    });
                }
            };
            rest = rest.get(consumed..).unwrap_or_default();
            match payload {
                Payload::Version {
                    encoding: Encoding::Module,
                    ..
                } => return Err(LoadError::CoreModule),
                Payload::ModuleSection {
                    unchecked_range, ..
                }
                | Payload::ComponentSection {
                    unchecked_range, ..
                } => {
                    // Nested code is the compiler's affair.
                    let length = unchecked_range.end.saturating_sub(unchecked_range.start);
                    rest = rest.get(length..).ok_or(LoadError::NotWasm {
                        reason: "a nested module is longer than the file".to_owned(),
                        offset: unchecked_range.start as u64,
                    })?;
                }
                Payload::End(_) => break,
                other => outline.section(other).map_err(damaged)?,
            }
        }
        Ok(outline)
    }

    fn section(&mut self, payload: Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::ComponentTypeSection(types) => {
                for ty in types {
                    self.type_only.push(is_type_only(&ty?));
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    if names_a_type(&alias?) {
                        self.type_only.push(false);
                    }
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    let import = import?;
                    let harmless = match import.ty {
                        ComponentTypeRef::Type(_) => {
                            self.type_only.push(false);
                            true
                        }
                        ComponentTypeRef::Instance(index) => {
                            let index = usize::try_from(index).unwrap_or(usize::MAX);
                            self.type_only.get(index).copied().unwrap_or(false)
                        }
                        _ => false,
                    };
                    self.imports.push((import.name.name.to_owned(), !harmless));
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if export.kind == ComponentExternalKind::Type {
                        self.type_only.push(false);
                    }
                    self.exports.push(export.name.name.to_owned());
                }
            }
            Payload::CustomSection(section) if section.name() == SECTION => {
                self.manifests.push(section.data().to_vec());
            }
            _ => {}
        }
        Ok(())
    }

    fn kind(&self) -> Result<Kind, LoadError> {
        let exported = |kind: &Kind| self.exports.iter().any(|name| name == kind.export());
        let fitting: Vec<Kind> = Kind::ALL.into_iter().filter(exported).collect();
        match fitting.as_slice() {
            [kind] => Ok(*kind),
            [] => Err(LoadError::NoWorld {
                exports: self.exports.clone(),
                would_fit: Kind::ALL.map(|kind| kind.export().to_owned()).to_vec(),
            }),
            several => Err(LoadError::SeveralWorlds(
                several
                    .iter()
                    .map(|kind| kind.export().to_owned())
                    .collect(),
            )),
        }
    }

    fn manifest(&self) -> Result<Manifest, LoadError> {
        match self.manifests.as_slice() {
            [] => Err(LoadError::NoManifest),
            [one] => {
                let text = std::str::from_utf8(one).map_err(|_| LoadError::ManifestNotText)?;
                Ok(Manifest::parse(text)?)
            }
            several => Err(LoadError::SeveralManifests(several.len())),
        }
    }

    /// WASI's interfaces and the others.
    fn checked_imports(&self, kind: Kind) -> Result<(Vec<String>, Vec<String>), LoadError> {
        let (mut wasi, mut others) = (Vec::new(), Vec::new());
        // Those of HTTP are held against the grant whatever is used of them: their
        // resources are there only for who may send requests.
        let counts = |(import, functional): &&(String, bool)| *functional || sends_http(import);
        let functional = self.imports.iter().filter(counts);
        for (import, _) in functional {
            if is_inert_wasi(import) {
                wasi.push(import.clone());
            } else if kind.inherent_imports().contains(&import.as_str())
                || kind.may_be_granted(import)
            {
                others.push(import.clone());
            } else if is_offered_to_some_kind(import) {
                return Err(LoadError::ForbiddenImport {
                    import: import.clone(),
                    kind: kind.to_string(),
                    allowed: kind
                        .inherent_imports()
                        .iter()
                        .chain(kind.grantable_imports())
                        .map(ToString::to_string)
                        .collect(),
                });
            } else {
                return Err(LoadError::UnknownImport(import.clone()));
            }
        }
        Ok((wasi, others))
    }
}

fn is_offered_to_some_kind(import: &str) -> bool {
    Kind::ALL
        .iter()
        .any(|kind| kind.inherent_imports().contains(&import) || kind.may_be_granted(import))
}

fn is_inert_wasi(import: &str) -> bool {
    let Some((package, rest)) = import
        .strip_prefix("wasi:")
        .and_then(|name| name.split_once('/'))
    else {
        return false;
    };
    let version = rest.split_once('@').map_or("", |(_, version)| version);
    WASI_PACKAGES.contains(&package) && version.starts_with("0.2.")
}

fn is_type_only(ty: &ComponentType<'_>) -> bool {
    let ComponentType::Instance(declarations) = ty else {
        return false;
    };
    declarations.iter().all(|declaration| match declaration {
        InstanceTypeDeclaration::Export { ty, .. } => matches!(ty, ComponentTypeRef::Type(_)),
        _ => true,
    })
}

fn names_a_type(alias: &ComponentAlias<'_>) -> bool {
    matches!(
        alias,
        ComponentAlias::InstanceExport {
            kind: ComponentExternalKind::Type,
            ..
        } | ComponentAlias::Outer {
            kind: ComponentOuterAliasKind::Type,
            ..
        }
    )
}
