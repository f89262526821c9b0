//! Patterns that match a whole text.

use regex::Regex;

/// The most memory that one compiled pattern may take, bytes.
pub const MOST_COMPILED: usize = 1 << 20;

/// A regular expression that matches only where it matches all of a text.
#[derive(Debug, Clone)]
pub struct Whole(Regex);

impl Whole {
    /// Compiles `pattern` (the syntax of the regex crate).
    pub fn new(pattern: &str) -> Result<Self, regex::Error> {
        // Alone first, so that `a)|(b` does not find its parentheses in the anchors.
        compile(pattern)?;
        compile(&anchored(pattern)).map(Self)
    }

    /// A pattern where `*` stands for any number of characters and all else for itself.
    pub fn glob(glob: &str) -> Result<Self, regex::Error> {
        let parts: Vec<String> = glob.split('*').map(regex::escape).collect();
        compile(&anchored(&parts.join("(?s:.*)"))).map(Self)
    }

    /// Whether all of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

fn anchored(pattern: &str) -> String {
    format!(r"\A(?:{pattern})\z")
}

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(pattern)
        .size_limit(MOST_COMPILED)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_text_or_not() {
        let cases = [
            (r"\d+", "512", true),
            (r"\d+", "512M", false),
            (r"\d+", "x512", false),
            (r"\d+", "512\n", false),
            ("a|b", "a", true),
            ("a|b", "ab", false),
            ("a|b", "xb", false),
            (r"(?m)^a$", "a\nb", false),
            (
                r"file=\{\},format=qcow2(,.*)?",
                "file={},format=qcow2,if=virtio",
                true,
            ),
            (r"file=\{\},format=qcow2(,.*)?", "file={},format=raw", false),
            ("", "", true),
            ("", "x", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                Whole::new(pattern).unwrap().matches(text),
                expected,
                "{pattern} {text:?}"
            );
        }
    }

    #[test]
    fn what_is_no_pattern_alone_is_none_within_anchors() {
        for pattern in ["a)|(b", "(", "[", "a{2,1}", "(?x)a # end"] {
            assert!(Whole::new(pattern).is_err(), "{pattern}");
        }
        assert!(Whole::new("(a{1000}){1000}").is_err());
    }

    #[test]
    fn globs() {
        let cases = [
            ("db-*", "db-main", true),
            ("db-*", "db-", true),
            ("db-*", "xdb-main", false),
            ("*", "anything\nat all", true),
            ("a.b", "a.b", true),
            ("a.b", "axb", false),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
        ];
        for (glob, text, expected) in cases {
            assert_eq!(
                Whole::glob(glob).unwrap().matches(text),
                expected,
                "{glob} {text:?}"
            );
        }
    }
}
