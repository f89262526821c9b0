//! The recordings that come nearest to a call which none of them fits.
//!
//! A recording whose plugin was given the same comes before one that was given something else,
//! and then counts how many uses of services were the same. Several may be equally near, and
//! then none of them is more meant than the others: they are named together, and the difference
//! of one is an example.

use super::divergence::Divergence;
use std::path::{Path, PathBuf};

/// The most names of equally near recordings that a message has.
const MOST_NAMED: usize = 3;

/// What a recording shares with the call: whether the plugin was given the same, and how many
/// uses of services were the same.
type Closeness = (bool, usize);

/// The nearest recordings so far.
#[derive(Default)]
pub(super) struct Nearest {
    found: Option<(Closeness, Divergence)>,
    files: Vec<PathBuf>,
    compared: usize,
}

impl Nearest {
    /// A recording that does not fit; `given` says whether the plugin was given the same.
    pub(super) fn offer(&mut self, file: &Path, given: bool, divergence: Divergence) {
        self.compared = self.compared.saturating_add(1);
        let closeness = (given, divergence.after);
        match &self.found {
            Some((best, _)) if *best > closeness => return,
            Some((best, _)) if *best == closeness => {}
            _ => {
                self.found = Some((closeness, divergence));
                self.files.clear();
            }
        }
        self.files.push(file.to_owned());
    }

    /// Why none fits; none where there was none to compare.
    pub(super) fn reason(&self) -> Option<String> {
        let (_, divergence) = self.found.as_ref()?;
        let names = self.files.iter().take(MOST_NAMED).map(|file| name(file));
        let names: Vec<String> = names.collect();
        Some(match (self.files.as_slice(), self.compared) {
            ([_], 1) => format!(
                "its recording {} does not fit: {divergence}",
                names.join("")
            ),
            ([_], all) => format!(
                "none of its {all} recordings fits; the nearest is {}: {divergence}",
                names.join("")
            ),
            (near, all) => {
                let more = match near.len().saturating_sub(MOST_NAMED) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                format!(
                    "none of its {all} recordings fits, and {} are equally near ({}{more}); for example the first of these: {divergence}",
                    near.len(),
                    names.join(", ")
                )
            }
        })
    }
}

/// The file's name: the folder is in the configuration.
fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str());
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn divergence(after: usize, got: &str) -> Divergence {
        let parts = ("settings".to_owned(), Value::Null);
        Divergence::new(after, parts, json!("recorded"), json!(got))
    }

    /// What is said of these: name, whether what was given is the same, uses that are the same.
    fn said(recordings: &[(&str, bool, usize)]) -> Option<String> {
        let mut nearest = Nearest::default();
        for (file, given, after) in recordings {
            let file = Path::new("/folder").join(file);
            nearest.offer(
                &file,
                *given,
                divergence(*after, &format!("of {}", name(&file))),
            );
        }
        nearest.reason()
    }

    #[test]
    fn the_nearest_is_named_and_several_are_named_together() {
        assert_eq!(said(&[]), None);
        type Case<'a> = (&'a [(&'a str, bool, usize)], &'a [&'a str], &'a [&'a str]);
        let cases: [Case; 5] = [
            (
                &[("a", true, 2)],
                &["its recording a does not fit", "of a"],
                &["none of"],
            ),
            (
                &[("a", true, 2), ("b", true, 5), ("c", true, 4)],
                &["none of its 3 recordings fits; the nearest is b", "of b"],
                &["equally", "of a"],
            ),
            (
                &[("a", false, 0), ("b", true, 0)],
                &["the nearest is b", "of b"],
                &["equally"],
            ),
            (
                &[("a", true, 1), ("b", false, 0), ("c", true, 1)],
                &["3 recordings fits, and 2 are equally near (a, c)", "of a"],
                &["nearest is", "b,"],
            ),
            (
                &[
                    ("a", true, 0),
                    ("b", true, 0),
                    ("c", true, 0),
                    ("d", true, 0),
                    ("e", true, 0),
                ],
                &["5 are equally near (a, b, c and 2 more)"],
                &["d,"],
            ),
        ];
        for (recordings, words, never) in cases {
            let said = said(recordings).unwrap();
            for word in words {
                assert!(said.contains(word), "{word} in {said}");
            }
            for word in never {
                assert!(!said.contains(word), "{word} in {said}");
            }
        }
    }
}
