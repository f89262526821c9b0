//! The SDKs and templates that this program carries (`build.rs` makes the table).

/// Every file below `sdk/`, by its path there.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

/// The folder of an SDK's templates.
const TEMPLATES: &str = "template/";

/// A file by its path from the folder it was asked for, and its content.
pub type Carried = (&'static str, &'static [u8]);

/// The files below a folder of `sdk/`.
fn below(folder: &str) -> impl Iterator<Item = Carried> {
    FILES
        .iter()
        .filter_map(move |(path, content)| Some((path.strip_prefix(folder)?, *content)))
}

/// The worlds that a language has templates for.
pub fn worlds(language: &str) -> Vec<&'static str> {
    let mut worlds: Vec<&str> = below(&format!("{language}/{TEMPLATES}"))
        .filter_map(|(path, _)| Some(path.split_once('/')?.0))
        .collect();
    worlds.dedup();
    worlds
}

/// The files of a template.
pub fn template(language: &str, world: &str) -> Vec<Carried> {
    below(&format!("{language}/{TEMPLATES}{world}/")).collect()
}

/// The files of a language's SDK.
pub fn sdk(language: &str) -> Vec<Carried> {
    below(&format!("{language}/"))
        .filter(|(path, _)| !path.starts_with(TEMPLATES))
        .collect()
}
