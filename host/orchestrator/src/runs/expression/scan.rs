//! Finds the inputs and steps that an expression names, and writes names with dashes so
//! that Jinja reads them as names (`steps.a-b.outputs` as `steps["a-b"].outputs`).

use super::{FILTERS, References, TESTS};
use crate::runs::nearest::did_you_mean;
use std::collections::BTreeSet;

/// The names that expressions of one workflow may use.
#[derive(Debug, Clone, Default)]
pub struct Names<'a> {
    inputs: BTreeSet<&'a str>,
    steps: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    /// These inputs and steps.
    pub fn new(
        inputs: impl IntoIterator<Item = &'a str>,
        steps: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            inputs: inputs.into_iter().collect(),
            steps: steps.into_iter().collect(),
        }
    }
}

/// The rewritten expression and what it names, or why it cannot be used.
pub(super) fn scan(source: &str, names: &Names<'_>) -> Result<(String, References), String> {
    let mut scanner = Scanner {
        rest: source,
        out: String::with_capacity(source.len() + 16),
        names,
        references: References::default(),
        before: Before::Other,
    };
    while let Some(c) = scanner.rest.chars().next() {
        scanner.token(c)?;
    }
    Ok((scanner.out, scanner.references))
}

/// What stood before the token that is looked at.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    Dot,
    Pipe,
    Is,
    Other,
}

struct Scanner<'s, 'n> {
    rest: &'s str,
    out: String,
    names: &'n Names<'n>,
    references: References,
    before: Before,
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl<'s> Scanner<'s, '_> {
    fn take(&mut self, bytes: usize) -> &'s str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'s str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        self.take(end)
    }

    fn token(&mut self, c: char) -> Result<(), String> {
        match c {
            '"' | '\'' => {
                let literal = self.take(literal_length(self.rest, c));
                self.out.push_str(literal);
                self.before = Before::Other;
            }
            c if c.is_whitespace() => {
                let space = self.take_while(char::is_whitespace);
                self.out.push_str(space);
            }
            c if c.is_ascii_digit() => {
                let number = self.take_while(|c| is_word(c) || c == '.');
                self.out.push_str(number);
                self.before = Before::Other;
            }
            c if is_word(c) => self.word()?,
            c => {
                self.before = match c {
                    '.' => Before::Dot,
                    '|' => Before::Pipe,
                    _ => Before::Other,
                };
                let one = self.take(c.len_utf8());
                self.out.push_str(one);
            }
        }
        Ok(())
    }

    fn word(&mut self) -> Result<(), String> {
        let word = self.take_while(is_word);
        let before = std::mem::replace(&mut self.before, Before::Other);
        match (before, word) {
            (Before::Dot, _) => self.out.push_str(word),
            (Before::Pipe, _) => {
                if !FILTERS.contains(&word) {
                    return Err(format!(
                        "there is no filter `{word}`{}; the filters are {}",
                        did_you_mean(word, FILTERS),
                        FILTERS.join(", ")
                    ));
                }
                self.out.push_str(word);
            }
            (Before::Is, "not") => {
                self.before = Before::Is;
                self.out.push_str(word);
            }
            (Before::Is, _) => {
                if !TESTS.contains(&word) {
                    return Err(format!(
                        "there is no test `{word}`; the tests are {}",
                        TESTS.join(", ")
                    ));
                }
                self.out.push_str(word);
            }
            (Before::Other, "is") => {
                self.before = Before::Is;
                self.out.push_str(word);
            }
            (Before::Other, "inputs") => self.input()?,
            (Before::Other, "steps") => self.step()?,
            (Before::Other, _) => self.out.push_str(word),
        }
        Ok(())
    }

    /// `["NAME"]` at the cursor.
    fn bracketed(&mut self) -> Option<&'s str> {
        let inner = self.rest.strip_prefix('[')?;
        let quote = inner.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let name_on = inner.get(1..)?;
        let (name, after) = name_on.split_once(quote)?;
        self.rest = after.strip_prefix(']')?;
        Some(name)
    }

    /// `.NAME` at the cursor, as long as it can be.
    fn dotted(&mut self) -> Option<&'s str> {
        let after = self.rest.strip_prefix('.')?;
        let end = after
            .find(|c| !is_word(c) && c != '-')
            .unwrap_or(after.len());
        let (name, rest) = after.split_at(end);
        if name.is_empty() {
            return None;
        }
        self.rest = rest;
        Some(name)
    }

    fn input(&mut self) -> Result<(), String> {
        let start = self.rest;
        let mut name = match self.bracketed() {
            Some(name) => name,
            None => self.dotted().ok_or(
                "`inputs` must be followed by the name of an input: inputs.NAME or inputs[\"NAME\"]",
            )?,
        };
        if !self.names.inputs.contains(name)
            && start.starts_with('.')
            && let Some((shorter, _)) = name.split_once('-')
        {
            // `inputs.size-1` is a subtraction unless there is an input of that name.
            name = shorter;
            self.rest = start.get(1 + shorter.len()..).unwrap_or_default();
        }
        if !self.names.inputs.contains(name) {
            return Err(format!(
                "there is no input `{name}`{}",
                did_you_mean(name, self.names.inputs.iter().copied())
            ));
        }
        self.references.inputs.insert(name.to_owned());
        self.out.push_str(&format!("inputs[\"{name}\"]"));
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        let id = match self.bracketed() {
            Some(id) => id,
            None => self
                .dotted()
                .ok_or("`steps` must be followed by the id of a step: steps.ID.outputs")?,
        };
        if !self.names.steps.contains(id) {
            return Err(format!(
                "there is no step `{id}`{}",
                did_you_mean(id, self.names.steps.iter().copied())
            ));
        }
        let outputs = self
            .rest
            .strip_prefix(".outputs")
            .filter(|rest| !rest.starts_with(is_word));
        self.rest = outputs.ok_or_else(|| {
            format!(
                "`steps.{id}` must be followed by `.outputs`; nothing else of a step can be read"
            )
        })?;
        self.references.steps.insert(id.to_owned());
        self.out.push_str(&format!("steps[\"{id}\"].outputs"));
        Ok(())
    }
}

/// How long the quoted literal is that `text` begins with, its quotes included.
pub(super) fn literal_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return index + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}
