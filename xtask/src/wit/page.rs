//! docs/contract.md: the doc comments of `wit/` as one page, a chapter a package.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use wit_parser::{
    Docs, Function, InterfaceId, PackageId, Resolve, Type, TypeDefKind, TypeId,
    UnresolvedPackageGroup, WorldId, WorldItem, WorldKey,
};

const HEAD: &str = "\
# The contract

<!-- Generated from wit/ by `cargo xtask wit`; edit the comments there. -->

What plugins and the host may ask of each other. An import is what the host offers, an export
what a plugin implements.

";

/// Makes the page from the packages below `folder`.
pub(super) fn make(folder: &Path) -> Result<String> {
    let mut groups = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            groups.push(UnresolvedPackageGroup::parse_dir(&path)?);
        }
    }
    groups.sort_by(|one, other| one.main.name.cmp(&other.main.name));
    let mut resolve = Resolve::default();
    let main = groups.pop().context("wit/ holds no package")?;
    resolve
        .push_groups(main, groups)
        .map_err(|error| anyhow::anyhow!("wit/ does not resolve: {error}"))?;

    let mut packages: Vec<_> = resolve.packages.iter().map(|(id, _)| id).collect();
    packages.sort_by_key(|package| name(&resolve, *package));
    let page = Page {
        resolve: &resolve,
        text: HEAD.into(),
    };
    Ok(page.write(&packages))
}

fn name(resolve: &Resolve, package: PackageId) -> String {
    resolve
        .packages
        .get(package)
        .map(|package| package.name.to_string())
        .unwrap_or_default()
}

struct Page<'a> {
    resolve: &'a Resolve,
    text: String,
}

impl Page<'_> {
    fn write(mut self, packages: &[PackageId]) -> String {
        for package in packages {
            self.package(*package);
        }
        self.text.truncate(self.text.trim_end().len());
        self.text.push('\n');
        self.text
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn paragraph(&mut self, text: &str) {
        let text = text.trim();
        if !text.is_empty() {
            self.line(text);
            self.line("");
        }
    }

    fn docs(&mut self, docs: &Docs) {
        if let Some(text) = &docs.contents {
            self.paragraph(text);
        }
    }

    fn package(&mut self, id: PackageId) {
        let resolve = self.resolve;
        let Some(package) = resolve.packages.get(id) else {
            return;
        };
        self.paragraph(&format!("## `{}`", package.name));
        self.docs(&package.docs);
        for (name, world) in &package.worlds {
            self.world(name, *world);
        }
        for (name, interface) in &package.interfaces {
            self.interface(name, *interface);
        }
    }

    fn world(&mut self, name: &str, id: WorldId) {
        let resolve = self.resolve;
        let Some(world) = resolve.worlds.get(id) else {
            return;
        };
        self.paragraph(&format!("### world `{name}`"));
        self.docs(&world.docs);
        for (kind, items) in [("imports", &world.imports), ("exports", &world.exports)] {
            let names: Vec<_> = items
                .iter()
                .map(|(key, item)| match (key, item) {
                    (WorldKey::Interface(id), WorldItem::Interface { .. }) => {
                        resolve.id_of(*id).unwrap_or_default()
                    }
                    (key, _) => resolve.name_world_key(key),
                })
                .collect();
            for name in &names {
                self.line(&format!("- {kind} `{name}`"));
            }
        }
        self.line("");
    }

    fn interface(&mut self, name: &str, id: InterfaceId) {
        let resolve = self.resolve;
        let Some(interface) = resolve.interfaces.get(id) else {
            return;
        };
        self.paragraph(&format!("### interface `{name}`"));
        self.docs(&interface.docs);
        for (name, id) in &interface.types {
            self.definition(name, *id);
        }
        for function in interface.functions.values() {
            self.function(function);
        }
    }

    /// A named type. One that is only used from another interface is described there.
    fn definition(&mut self, name: &str, id: TypeId) {
        let resolve = self.resolve;
        let Some(definition) = resolve.types.get(id) else {
            return;
        };
        let kind = &definition.kind;
        if let TypeDefKind::Type(Type::Id(_)) = kind {
            return;
        }
        let what = match kind {
            TypeDefKind::Record(_)
            | TypeDefKind::Variant(_)
            | TypeDefKind::Enum(_)
            | TypeDefKind::Flags(_)
            | TypeDefKind::Resource => format!("#### {} `{name}`", kind.as_str()),
            _ => format!("#### type `{name}` = `{}`", self.kind(kind)),
        };
        self.paragraph(&what);
        self.docs(&definition.docs);
        let rows: Vec<_> = match kind {
            TypeDefKind::Record(record) => record
                .fields
                .iter()
                .map(|field| {
                    (
                        format!("{}: {}", field.name, self.ty(&field.ty)),
                        &field.docs,
                    )
                })
                .collect(),
            TypeDefKind::Variant(variant) => variant
                .cases
                .iter()
                .map(|case| {
                    let payload = case.ty.map(|ty| format!("({})", self.ty(&ty)));
                    (
                        format!("{}{}", case.name, payload.unwrap_or_default()),
                        &case.docs,
                    )
                })
                .collect(),
            TypeDefKind::Enum(cases) => cases
                .cases
                .iter()
                .map(|case| (case.name.clone(), &case.docs))
                .collect(),
            TypeDefKind::Flags(flags) => flags
                .flags
                .iter()
                .map(|flag| (flag.name.clone(), &flag.docs))
                .collect(),
            _ => Vec::new(),
        };
        if rows.is_empty() {
            return;
        }
        for (term, docs) in rows {
            let docs = docs.contents.as_deref().unwrap_or_default();
            let docs = docs.split_whitespace().collect::<Vec<_>>().join(" ");
            self.line(format!("- `{term}` {docs}").trim_end());
        }
        self.line("");
    }

    fn function(&mut self, function: &Function) {
        self.paragraph(&format!("#### `{}`", function.name));
        let params: Vec<_> = function
            .params
            .iter()
            .map(|param| format!("{}: {}", param.name, self.ty(&param.ty)))
            .collect();
        let mut signature = format!("{}: func({})", function.name, params.join(", "));
        if let Some(result) = &function.result {
            // Writing into a String cannot fail.
            let _ = write!(signature, " -> {}", self.ty(result));
        }
        self.paragraph(&format!("```wit\n{signature}\n```"));
        self.docs(&function.docs);
    }

    /// A type as WIT writes it.
    fn ty(&self, ty: &Type) -> String {
        let Type::Id(id) = ty else {
            return match ty {
                Type::Bool => "bool",
                Type::U8 => "u8",
                Type::U16 => "u16",
                Type::U32 => "u32",
                Type::U64 => "u64",
                Type::S8 => "s8",
                Type::S16 => "s16",
                Type::S32 => "s32",
                Type::S64 => "s64",
                Type::F32 => "f32",
                Type::F64 => "f64",
                Type::Char => "char",
                Type::String => "string",
                Type::ErrorContext => "error-context",
                Type::Id(_) => "",
            }
            .into();
        };
        let Some(definition) = self.resolve.types.get(*id) else {
            return String::new();
        };
        match &definition.name {
            Some(name) => name.clone(),
            None => self.kind(&definition.kind),
        }
    }

    /// A type without a name of its own.
    fn kind(&self, kind: &TypeDefKind) -> String {
        let optional = |ty: &Option<Type>| ty.as_ref().map(|ty| self.ty(ty));
        match kind {
            TypeDefKind::Option(ty) => format!("option<{}>", self.ty(ty)),
            TypeDefKind::List(ty) => format!("list<{}>", self.ty(ty)),
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<_> = tuple.types.iter().map(|ty| self.ty(ty)).collect();
                format!("tuple<{}>", types.join(", "))
            }
            TypeDefKind::Result(result) => match (optional(&result.ok), optional(&result.err)) {
                (None, None) => "result".into(),
                (Some(ok), None) => format!("result<{ok}>"),
                (ok, Some(err)) => format!("result<{}, {err}>", ok.as_deref().unwrap_or("_")),
            },
            TypeDefKind::Type(ty) => self.ty(ty),
            other => other.as_str().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_has_a_name_is_on_the_page() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            (
                "zoo",
                "/// Animals.
                package t:zoo@1.0.0;
                /// What a keeper does.
                world keeper { import t:base/errors@2.0.0; export cages; }
                /// Cages.
                interface cages {
                  use t:base/errors@2.0.0.{fault};
                  /// Two things.
                  flags marks { /// The first.
                    a, b }
                  type names = list<string>;
                  /// Opens
                  /// one.
                  open: func(id: u32, why: option<names>) -> result<tuple<u8, bool>, fault>;
                  feed: func() -> result<_, fault>;
                }",
            ),
            (
                "base",
                "package t:base@2.0.0;
                interface errors { variant fault { /// Too late.
                  late(u64), other } }",
            ),
        ] {
            let package = folder.path().join(name);
            fs::create_dir(&package).unwrap();
            fs::write(package.join("a.wit"), text).unwrap();
        }
        let expected = include_str!("page.expected.md");
        assert_eq!(make(folder.path()).unwrap(), expected);
    }
}
