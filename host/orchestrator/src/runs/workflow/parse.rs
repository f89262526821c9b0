//! Reading a workflow file, and saying where and what is wrong with it.

use super::file::WorkflowFile;
use super::located::Place;
use crate::runs::nearest::did_you_mean;
use serde_saphyr::{DuplicateKeyPolicy, Error as YamlError, Location, MergeKeyPolicy, Options};

/// The longest workflow file, bytes.
pub const LONGEST_FILE: usize = 256 * 1024;

/// One thing that is wrong with a workflow file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Where.
    pub place: Place,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// A workflow file that cannot be used; all that was found, `file:line:column: message`
/// each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowError {
    /// The file as whoever gave it calls it.
    pub file: String,
    /// At least one flaw.
    pub flaws: Vec<Flaw>,
}

impl std::error::Error for WorkflowError {}

impl std::fmt::Display for WorkflowError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, flaw) in self.flaws.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            let Place { line, column } = flaw.place;
            match (line, column) {
                (0, _) => write!(f, "{}: {}", self.file, flaw.message)?,
                (line, 0) => write!(f, "{}:{line}: {}", self.file, flaw.message)?,
                (line, column) => write!(f, "{}:{line}:{column}: {}", self.file, flaw.message)?,
            }
        }
        Ok(())
    }
}

/// Reads the records of a file. `name` is what errors call it.
pub fn parse(name: &str, text: &str) -> Result<WorkflowFile, WorkflowError> {
    let refuse = |place, message| WorkflowError {
        file: name.to_owned(),
        flaws: vec![Flaw { place, message }],
    };
    if text.len() > LONGEST_FILE {
        return Err(refuse(
            Place::default(),
            format!(
                "the file has {} bytes, at most {LONGEST_FILE} are read; split the workflow",
                text.len()
            ),
        ));
    }
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let error = error.without_snippet();
        refuse(place_of(error), message_of(error))
    })
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 100_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_recorded_anchor_events: 50_000,
            max_recorded_anchor_bytes: 1024 * 1024,
            max_depth: 32,
            max_documents: 1,
            max_nodes: 50_000,
            max_total_scalar_bytes: 1024 * 1024,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        // YAML 1.2: `no` and `on` are texts.
        strict_booleans: true,
    }
}

fn place_of(error: &YamlError) -> Place {
    error
        .location()
        .filter(|location| *location != Location::UNKNOWN)
        .map_or_else(Place::default, |location| Place {
            line: location.line(),
            column: location.column(),
        })
}

fn message_of(error: &YamlError) -> String {
    match error {
        YamlError::SerdeUnknownField {
            field, expected, ..
        } => format!(
            "unknown key `{field}`{}; the keys here are {}",
            did_you_mean(field, expected.iter().copied()),
            expected.join(", ")
        ),
        YamlError::SerdeUnknownVariant {
            variant, expected, ..
        } => format!(
            "`{variant}` is not known here{}; it is one of {}",
            did_you_mean(variant, expected.iter().copied()),
            expected.join(", ")
        ),
        YamlError::SerdeMissingField { field, .. } => {
            format!("the key `{field}` is missing")
        }
        YamlError::DuplicateMappingKey { key, .. } => format!(
            "the key `{}` is there twice; keep one",
            key.as_deref().unwrap_or("?")
        ),
        YamlError::Budget { breach, .. } => {
            format!("the file is too large or too deep for a workflow ({breach:?}); split it")
        }
        YamlError::MultipleDocuments { .. } => {
            "there are several YAML documents (`---`); a workflow is one".to_owned()
        }
        YamlError::Message { msg, .. } => msg.clone(),
        other => {
            let text = other.render();
            let first = text.lines().next().unwrap_or_default().to_owned();
            first
                .strip_prefix("error: ")
                .map_or(first.clone(), str::to_owned)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name: x\nsteps:\n  - id: a\n    uses: command\n";

    #[test]
    fn mistakes_are_named_with_their_place() {
        let cases: [(&str, &[&str]); 14] = [
            (
                "nmae: x\nsteps: []\n",
                &["w.yaml:1:1", "unknown key `nmae`", "did you mean `name`"],
            ),
            (
                "name: x\nsteps:\n  - id: a\n    uses: c\n    retry: { attempt: 3 }\n",
                &[
                    "w.yaml:5:14",
                    "unknown key `attempt`",
                    "did you mean `attempts`",
                ],
            ),
            (
                "name: x\nsteps:\n  - id: a\n    uses: c\n    approval: { mesage: hi }\n",
                &["w.yaml:5", "unknown key `mesage`", "did you mean `message`"],
            ),
            (
                "name: x\ninputs:\n  d: { type: sting }\nsteps: []\n",
                &[
                    "w.yaml:3",
                    "`sting` is not known here",
                    "did you mean `string`",
                ],
            ),
            (
                "name: x\nsteps:\n  - id: a\n",
                &["w.yaml:3", "the key `uses` is missing"],
            ),
            (
                "name: x\nname: y\nsteps: []\n",
                &["w.yaml:2", "`name` is there twice"],
            ),
            (
                "name: x\nsteps:\n  - id: a\n    uses: c\n    timeout: 10\n",
                &["w.yaml:5", "write a number and a unit"],
            ),
            (
                "name: x\nsteps:\n  - id: a\n    uses: c\n    compensate: maybe\n",
                &["w.yaml:5", "bool"],
            ),
            ("name: [x\n", &["w.yaml:"]),
            ("", &["w.yaml"]),
            ("name: x\n---\nname: y\n", &["w.yaml"]),
            ("\tname: x\n", &["w.yaml:1"]),
            (
                "name: x\nsteps:\n  - id: a\n    uses: c\n    with: { a: .nan }\n",
                &["w.yaml:5"],
            ),
            (
                "name: x\nsteps:\n  - id: a\n    uses: c\n    approval: 3\n",
                &["w.yaml:5", "true, false or a mapping"],
            ),
        ];
        for (text, parts) in cases {
            let error = parse("w.yaml", text).expect_err(text).to_string();
            for part in parts {
                assert!(error.contains(part), "{text}\n{error}\nlacks {part}");
            }
        }
    }

    #[test]
    fn hostile_files_end_in_an_error() {
        let bomb = {
            let mut text = String::from("name: &a [x, x, x, x, x, x, x, x, x]\n");
            for level in 0..20 {
                let (from, to) = (b'a' + level, b'a' + level + 1);
                let from = char::from(from);
                let items = vec![format!("*{from}"); 9].join(",");
                text.push_str(&format!("k{level}: &{} [{items}]\n", char::from(to)));
            }
            text
        };
        let deep = format!("name: x\nsteps: {}{}", "[".repeat(5000), "]".repeat(5000));
        let long = format!("{GOOD}# {}", "x".repeat(LONGEST_FILE));
        for text in [bomb, deep, long] {
            assert!(parse("w.yaml", &text).is_err());
        }
    }

    #[test]
    fn places_are_remembered() {
        let file = parse("w.yaml", GOOD).unwrap();
        let step = file.steps.first().unwrap();
        assert_eq!((step.id.place.line, step.uses.place.line), (3, 4));
        assert_eq!(step.uses.value, "command");
    }
}
