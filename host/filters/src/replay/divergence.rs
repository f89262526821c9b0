//! The first thing that is not as it was recorded.

use crate::recording::{Ask, Block};
use serde::Serialize;
use serde_json::{Value, json};

/// The most characters of a value that a message shows.
const MOST_SHOWN: usize = 300;

/// The first difference between a recording and what happens now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Divergence {
    /// How many uses of services were the same before.
    pub after: usize,
    /// What differs: a function of a service (`view.read-at`) or of the plugin (`fix`), or a
    /// part of what the plugin was given (`settings`, `facts`, `digest`).
    pub function: String,
    /// The arguments of that function now; null where it has none.
    pub arguments: Value,
    /// What the recording has: an answer, an end, or another function with its arguments.
    pub expected: Value,
    /// What there is now instead.
    pub got: Value,
    /// Where in these the first difference is (RFC 6901), with what is there.
    pub place: String,
}

impl Divergence {
    pub(crate) fn new(
        after: usize,
        (function, arguments): (String, Value),
        expected: Value,
        got: Value,
    ) -> Self {
        Self {
            after,
            function,
            arguments,
            place: first_difference("", &expected, &got).unwrap_or_default(),
            expected,
            got,
        }
    }

    /// The plugin used another service than recorded, or the same one otherwise. `expected` is
    /// none where it used none any more.
    pub(crate) fn of_asks(after: usize, expected: Option<&mut Ask>, got: &mut Ask) -> Self {
        let said = |(function, arguments): (String, Value)| json!({ "function": function, "arguments": arguments });
        let parts = got.parts();
        let recorded = expected.as_ref().map_or_else(
            || json!({ "end": "the plugin used no service any more" }),
            |ask| said(ask.parts()),
        );
        let mut divergence = Self::new(after, parts.clone(), recorded, said(parts));
        let expected = expected.and_then(Ask::block_mut);
        if let (Some(expected), Some(got)) = (expected, got.block_mut()) {
            divergence.of_contents(expected, got);
        }
        divergence
    }

    /// Says where two contents differ, instead of their digests.
    pub(crate) fn of_contents(&mut self, expected: &Block, got: &Block) {
        let text = |block: &Block| String::from_utf8(block.bytes()).ok();
        if expected == got {
            return;
        }
        if let (Some(expected), Some(got)) = (text(expected), text(got))
            && let Some(line) = first_line(&expected, &got)
        {
            self.place = line;
        }
    }
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the first difference comes after {} uses of services that were the same: {}{}: expected {}, got {}",
            self.after,
            self.function,
            match &self.arguments {
                Value::Null => String::new(),
                arguments => format!(" {}", short(arguments)),
            },
            short(&self.expected),
            short(&self.got)
        )?;
        if self.place.is_empty() {
            return Ok(());
        }
        write!(f, "; {}", self.place)
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Where two values differ first, with what is there.
fn first_difference(place: &str, expected: &Value, got: &Value) -> Option<String> {
    if expected == got {
        return None;
    }
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            let names = expected
                .keys()
                .chain(got.keys().filter(|name| !expected.contains_key(*name)));
            names
                .into_iter()
                .find_map(|name| one(place, name, expected.get(name), got.get(name)))
        }
        (Value::Array(expected), Value::Array(got)) => (0..expected.len().max(got.len()))
            .find_map(|n| one(place, &n.to_string(), expected.get(n), got.get(n))),
        _ => Some(format!(
            "they differ at {}: {} and {}",
            if place.is_empty() { "/" } else { place },
            short(expected),
            short(got)
        )),
    }
}

fn one(place: &str, name: &str, expected: Option<&Value>, got: Option<&Value>) -> Option<String> {
    let inner = format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
    first_difference(
        &inner,
        expected.unwrap_or(&Value::Null),
        got.unwrap_or(&Value::Null),
    )
}

fn first_line(expected: &str, got: &str) -> Option<String> {
    let (mut expected, mut got) = (expected.lines(), got.lines());
    for number in 1.. {
        let (line, other) = (expected.next(), got.next());
        if line.is_none() && other.is_none() {
            break;
        }
        if line != other {
            let shown = |line: Option<&str>| {
                line.map_or("nothing".to_owned(), |line| short(&Value::from(line)))
            };
            return Some(format!(
                "the contents differ in line {number}: {} and {}",
                shown(line),
                shown(other)
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{EditsAsk, ViewAsk};

    fn write(path: &str, content: &str) -> Ask {
        Ask::from(EditsAsk::Write {
            path: path.to_owned(),
            content: Block::new(content.as_bytes()),
            reason: "r".to_owned(),
        })
    }

    #[test]
    fn the_message_names_function_arguments_and_place() {
        let mut stat = Ask::from(ViewAsk::Stat {
            path: "/a".to_owned(),
            follow: true,
        });
        let cases = [
            (
                Some(write("/a", "x")),
                write("/b", "x"),
                vec!["edits.write", "at /arguments/path: \"/a\" and \"/b\""],
            ),
            (
                Some(write("/a", "1\n2\n3")),
                write("/a", "1\n2x\n3"),
                vec!["line 2: \"2\" and \"2x\"", "after 7 uses"],
            ),
            (
                Some(stat.clone()),
                write("/a", "x"),
                vec!["expected {\"function\":\"view.stat\"", "at /function"],
            ),
            (None, write("/a", "x"), vec!["expected {\"end\":"]),
        ];
        for (mut expected, mut got, words) in cases {
            let found = Divergence::of_asks(7, expected.as_mut(), &mut got).to_string();
            for word in words {
                assert!(found.contains(word), "{word} in {found}");
            }
        }
        let long = Divergence::of_asks(0, None, &mut write(&"é".repeat(5_000), "")).to_string();
        assert!(long.len() < 5_000, "{}", long.len());
        assert!(stat.block_mut().is_none());
    }
}
