//! os-release: assignments as a shell would read them.
//!
//! Source: os-release(5). Values may be bare, in double quotes (where a backslash keeps
//! `$`, `"`, `\` and `` ` `` from being special) or in single quotes. Nothing is expanded.

use std::collections::BTreeMap;

/// The assignments; a later one replaces an earlier one, and what is none is skipped.
pub fn parse(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(assignment).collect()
}

fn assignment(line: &str) -> Option<(String, String)> {
    let (name, value) = line.trim().split_once('=')?;
    let well_formed = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    well_formed.then(|| (name.to_owned(), word(value)))
}

/// One shell word, its quotes removed; it ends at a blank outside quotes.
fn word(text: &str) -> String {
    let mut value = String::new();
    let mut quote = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, _) if character.is_whitespace() => break,
            (None, '\\') => value.extend(characters.next()),
            (Some('"'), '\\') => {
                match characters.next_if(|c| matches!(c, '$' | '"' | '\\' | '`')) {
                    Some(escaped) => value.push(escaped),
                    None => value.push('\\'),
                }
            }
            _ => value.push(character),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_read_as_a_shell_reads_them() {
        for (line, value) in [
            ("X=debian", "debian"),
            (
                "X=\"Debian GNU/Linux 12 (bookworm)\"",
                "Debian GNU/Linux 12 (bookworm)",
            ),
            ("X='12'", "12"),
            ("X=", ""),
            ("X=\"\"", ""),
            ("X=\"a \\\"b\\\" \\$c \\n\"", "a \"b\" $c \\n"),
            ("X='a\\b'", "a\\b"),
            ("X=a\\ b # comment", "a b"),
            ("X=12 # comment", "12"),
            ("  X=\"12\"  # comment", "12"),
            ("X=a\"b c\"'d'", "ab cd"),
            ("X=\"open", "open"),
            ("X=1\r", "1"),
            ("X=0\nX=2", "2"),
            ("X=https://a?b=c", "https://a?b=c"),
        ] {
            assert_eq!(
                parse(line).get("X").map(String::as_str),
                Some(value),
                "{line}"
            );
        }
    }

    #[test]
    fn what_is_no_assignment_is_skipped() {
        for line in ["# X=1", "", "X", "=1", "export X=1", "X Y=1"] {
            assert!(parse(line).is_empty(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(X=|[\"'\\\\a #\n=$]){0,20}") {
            let _ = parse(&text);
        }
    }
}
