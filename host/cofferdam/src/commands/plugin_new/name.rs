//! A plugin's name, and how a template says it.

use anyhow::{Result, bail};
use cofferdam_contract::manifest::is_id;

/// Words that are no names in one of the languages, or that stand for something else there.
const RESERVED: [&str; 60] = [
    "abstract",
    "as",
    "assert",
    "async",
    "auto",
    "await",
    "bool",
    "box",
    "break",
    "case",
    "catch",
    "char",
    "class",
    "cofferdam",
    "const",
    "continue",
    "core",
    "crate",
    "default",
    "defer",
    "do",
    "else",
    "enum",
    "except",
    "export",
    "extern",
    "false",
    "fn",
    "for",
    "func",
    "go",
    "if",
    "impl",
    "import",
    "in",
    "int",
    "internal",
    "lambda",
    "let",
    "loop",
    "main",
    "map",
    "match",
    "mod",
    "package",
    "pass",
    "range",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "switch",
    "test",
    "type",
    "use",
    "var",
    "vendor",
    "while",
];

/// A name in the ways of writing that templates use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// `old-names`: the plugin's id.
    pub kebab: String,
    /// `old_names`.
    pub snake: String,
    /// `OldNames`.
    pub pascal: String,
}

impl Name {
    /// Reads a name as it was typed.
    pub fn parse(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        if !is_id(text) || parts.iter().any(|part| part.is_empty()) {
            bail!(
                "{text:?} is no name of a plugin: lower-case letters, digits and single dashes between them, at most 64, a letter first, such as old-names"
            );
        }
        if RESERVED.contains(&text) {
            bail!(
                "{text:?} has a meaning of its own in a programming language; say more of what the plugin does, such as {text}-names"
            );
        }
        Ok(Self {
            kebab: text.to_owned(),
            snake: parts.join("_"),
            pascal: parts.iter().map(|part| capital(part)).collect(),
        })
    }

    /// The text with the name in the place of each placeholder.
    pub fn fill(&self, text: &str) -> String {
        text.replace("{{name}}", &self.kebab)
            .replace("{{snake}}", &self.snake)
            .replace("{{pascal}}", &self.pascal)
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_in_three_ways() {
        let name = Name::parse("old-names-2x").unwrap();
        assert_eq!(
            name.fill("{{name}} {{snake}} {{pascal}} {{other}}"),
            "old-names-2x old_names_2x OldNames2x {{other}}"
        );
    }

    #[test]
    fn what_is_no_name_is_refused_with_one_that_is() {
        for (text, word) in [
            ("", "such as old-names"),
            ("Old", "such as old-names"),
            ("2x", "such as old-names"),
            ("a--b", "such as old-names"),
            ("a-", "such as old-names"),
            ("../a", "such as old-names"),
            ("a b", "such as old-names"),
            ("a\u{1b}[2J", "\\u{1b}"),
            ("type", "type-names"),
            ("test", "test-names"),
        ] {
            let error = Name::parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert!(Name::parse(&"a".repeat(64)).is_ok());
        assert!(Name::parse(&"a".repeat(65)).is_err());
    }
}
