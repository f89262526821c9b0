//! The program's output: kept without secrets up to a limit, its tail in memory, searched as
//! it comes.

use crate::redact::{RedactedStream, Redactor};
use regex::bytes::{Regex, RegexBuilder};
use std::fs::File;
use std::io::Write;

/// How much of the end is kept in memory, bytes.
pub const TAIL: usize = 64 << 10;

/// How far back a match may begin before the bytes that complete it, bytes.
pub const OVERLAP: usize = 8 << 10;

/// Compiles the expressions that stop a program. They match bytes; `$` holds where the
/// output that has come so far ends.
pub fn compile(expressions: &[String]) -> Result<Vec<Regex>, regex::Error> {
    let one = |text: &String| {
        RegexBuilder::new(text)
            .size_limit(crate::tool::pattern::MOST_COMPILED)
            .build()
    };
    expressions.iter().map(one).collect()
}

/// What came out of a program.
pub struct Output {
    log: Option<File>,
    /// The end of the output as it came, for searching.
    recent: Vec<u8>,
    /// Takes secrets out of what is kept.
    clean: RedactedStream,
    /// The end of what is kept, at least [`TAIL`] bytes of it once there are as many.
    tail: Vec<u8>,
    /// How many bytes went to the log, or would have.
    logged: u64,
    total: u64,
    limit: u64,
    expressions: Vec<Regex>,
    matched: Option<u32>,
    complaint: Option<String>,
}

impl Output {
    /// Nothing yet; up to `limit` bytes will go to `log`.
    pub fn new(log: File, limit: u64, expressions: Vec<Regex>, redactor: &Redactor) -> Self {
        Self {
            log: Some(log),
            recent: Vec::new(),
            clean: redactor.stream(),
            tail: Vec::new(),
            logged: 0,
            total: 0,
            limit,
            expressions,
            matched: None,
            complaint: None,
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let clean = self.clean.push(bytes);
        self.keep(&clean);
        self.total = self.total.saturating_add(bytes.len() as u64);
        let before = self.recent.len();
        self.recent.extend_from_slice(bytes);
        if self.matched.is_none() {
            self.matched = self.search(before.saturating_sub(OVERLAP));
        }
        shorten(&mut self.recent);
    }

    /// No more bytes come: keeps those that might have been the start of a secret.
    pub fn finish(&mut self) {
        let nothing_more = Redactor::new().stream();
        let rest = std::mem::replace(&mut self.clean, nothing_more).finish();
        self.keep(&rest);
    }

    /// The expression whose match begins first, the lower index where two begin together.
    fn search(&self, from: usize) -> Option<u32> {
        let found = self.expressions.iter().enumerate();
        found
            .filter_map(|(index, expression)| {
                let begins = expression.find_at(&self.recent, from)?.start();
                Some((begins, u32::try_from(index).ok()?))
            })
            .min()
            .map(|(_, index)| index)
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        shorten(&mut self.tail);
        let room = usize::try_from(self.limit.saturating_sub(self.logged)).unwrap_or(usize::MAX);
        self.logged = self.logged.saturating_add(bytes.len() as u64);
        let kept = bytes.get(..room.min(bytes.len())).unwrap_or(bytes);
        if let Some(log) = &mut self.log
            && let Err(error) = log.write_all(kept)
        {
            self.complaint = Some(format!("output.log ends early: {error}"));
            self.log = None;
        }
    }

    /// The index of the expression that was found.
    pub fn matched(&self) -> Option<u32> {
        self.matched
    }

    /// Whether there was more than the limit.
    pub fn is_too_much(&self) -> bool {
        self.total > self.limit
    }

    /// How many bytes there were.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The last [`TAIL`] bytes without secrets, with what is no UTF-8 replaced.
    pub fn tail(&self) -> String {
        let from = self.tail.len().saturating_sub(TAIL);
        String::from_utf8_lossy(self.tail.get(from..).unwrap_or_default()).into_owned()
    }

    /// What went wrong with keeping it.
    pub fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }
}

/// Leaves at least the last [`TAIL`] bytes, without moving them for every few that come.
fn shorten(bytes: &mut Vec<u8>) {
    if bytes.len() > 4 * TAIL {
        bytes.drain(..bytes.len() - TAIL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn output(limit: u64, expressions: &[&str]) -> (tempfile::NamedTempFile, Output) {
        let log = tempfile::NamedTempFile::new().unwrap();
        let texts: Vec<String> = expressions.iter().map(|&text| text.to_owned()).collect();
        let expressions = compile(&texts).unwrap();
        let output = Output::new(log.reopen().unwrap(), limit, expressions, &Redactor::new());
        (log, output)
    }

    #[test]
    fn the_log_ends_at_the_limit_and_the_tail_is_the_end() {
        let (log, mut output) = output(10, &[]);
        for part in ["0123", "4567", "89ab", "cdef"] {
            output.push(part.as_bytes());
        }
        assert_eq!(std::fs::read(log.path()).unwrap(), b"0123456789");
        assert_eq!((output.total(), output.is_too_much()), (16, true));
        assert_eq!(output.tail(), "0123456789abcdef");
    }

    #[test]
    fn the_limit_itself_is_not_too_much() {
        let (_log, mut output) = output(4, &[]);
        output.push(b"0123");
        assert!(!output.is_too_much());
    }

    #[test]
    fn a_long_output_leaves_its_last_bytes() {
        let (_log, mut output) = output(u64::MAX, &[]);
        for number in 0..100_000_u32 {
            output.push(format!("{number:06}\n").as_bytes());
        }
        let tail = output.tail();
        assert_eq!(tail.len(), TAIL);
        assert!(tail.ends_with("099998\n099999\n"));
        assert!(output.recent.capacity() <= 16 * TAIL);
    }

    #[test]
    fn secrets_are_not_kept_and_still_found() {
        let redactor = Redactor::new();
        redactor.remember(b"hunter2-hunter2");
        let log = tempfile::NamedTempFile::new().unwrap();
        let expressions = compile(&["is hunter2-h".to_owned()]).unwrap();
        let mut output = Output::new(log.reopen().unwrap(), 100, expressions, &redactor);
        for byte in b"it is hunter2-hunter2, aHVudGVyMi1odW50ZXIy" {
            output.push(&[*byte]);
        }
        output.finish();
        assert_eq!(output.matched(), Some(0));
        assert_eq!(output.total(), 43);
        assert_eq!(output.tail(), "it is ***, ***");
        assert_eq!(std::fs::read(log.path()).unwrap(), b"it is ***, ***");
    }

    #[test]
    fn what_is_no_utf8_is_replaced() {
        let (_log, mut output) = output(100, &[]);
        output.push(b"a\xff\xc3");
        assert_eq!(output.tail(), "a\u{fffd}\u{fffd}");
    }

    #[test]
    fn the_earliest_match_wins() {
        let (_log, mut output) = output(100, &["login:", "panic", "pan"]);
        output.push(b"kernel panic, then login:");
        assert_eq!(output.matched(), Some(1));
        output.push(b"login:");
        assert_eq!(output.matched(), Some(1));
    }

    #[test]
    fn the_start_of_the_text_is_the_start_of_the_output_only() {
        let (_log, mut output) = output(u64::MAX, &[r"\Aend", "(?m)^line-end$"]);
        for _ in 0..600 {
            output.push(&[b'x'; 1000]);
        }
        output.push(b"end");
        assert_eq!(output.matched(), None);
        output.push(b"\nline-");
        output.push(b"end\n");
        assert_eq!(output.matched(), Some(1));
    }

    proptest! {
        /// However the bytes are cut, a match no longer than the overlap is found.
        #[test]
        fn matches_cross_borders(
            before in 0_usize..200_000,
            cuts in prop::collection::vec(1_usize..5_000, 1..40),
        ) {
            let mut bytes = vec![b'.'; before];
            bytes.extend_from_slice(b"marker 42");
            bytes.extend_from_slice(&[b'.'; 100]);
            let (_log, mut output) = output(u64::MAX, &[r"marker \d\d"]);
            let mut rest = bytes.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (part, after) = rest.split_at((*cut).min(rest.len()));
                output.push(part);
                rest = after;
            }
            prop_assert_eq!(output.matched(), Some(0));
        }
    }
}
