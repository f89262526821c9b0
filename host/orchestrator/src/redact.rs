//! Takes the values of secrets out of what the host writes down.
//!
//! **Problem.** A step that was given a secret, and the tools it runs, may print it, return
//! it or put it into an error. What they say ends up in the journal, in logs, in answers of
//! the API and in traces.
//!
//! **Design.** Whoever hands out a secret tells a [`Redactor`]; whoever writes something down
//! passes it through one. A redactor knows each value in the forms in which programs
//! usually repeat it: as it is, line by line, escaped as in JSON, as base64 (both alphabets,
//! at any offset inside a longer text), hexadecimal and percent-encoded. All occurrences are
//! found in one pass (Aho-Corasick); overlapping ones become one `***`.
//! Redactors form a tree: each project's tells the host's. Only the project's own is used for
//! what the project can read again, because replacing the secrets of others would let a
//! step find them out by guessing; the host's is for its logs and traces.
//!
//! **Limits.** A value that was encrypted, compressed, cut into pieces or wrapped by the step
//! is not recognised, nor is an encoding of more than 4 KiB: a step that is granted a secret
//! can give it away if it wants to. This holds back accidents. Values of less than
//! [`SHORTEST`] bytes are not looked for, which is why such secrets are refused when they are
//! set.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

/// What stands in the place of a secret.
pub const MARK: &str = "***";
/// Values below this many bytes are not looked for.
pub const SHORTEST: usize = 4;
/// Encoded forms and single lines below this many bytes are not looked for: they would be
/// found in innocent text.
const SHORTEST_FORM: usize = 8;
/// Values above this many bytes are looked for as they are, escaped and by lines, and not
/// encoded: each form takes memory for as long as the host runs.
const LONGEST_ENCODED: usize = 4096;

#[derive(Default)]
struct Known {
    secrets: BTreeSet<Vec<u8>>,
    forms: BTreeSet<Vec<u8>>,
    search: Option<AhoCorasick>,
    longest: usize,
}

/// Finds and replaces the secrets it was told. Clones know the same.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Arc<RwLock<Known>>,
    parent: Option<Arc<Redactor>>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

impl Redactor {
    /// A redactor that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that tells this one what it is told, and not the other way round.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            known: Arc::default(),
            parent: Some(Arc::new(self.clone())),
        }
    }

    /// From now on `secret` is replaced.
    pub fn remember(&self, secret: &[u8]) {
        self.remember_all(&[secret]);
    }

    /// From now on each of `secrets` is replaced. One search is built for all of them.
    pub fn remember_all(&self, secrets: &[impl AsRef<[u8]>]) {
        if let Some(parent) = &self.parent {
            parent.remember_all(secrets);
        }
        let new: Vec<_> = secrets
            .iter()
            .map(|secret| (secret.as_ref(), forms(secret.as_ref())))
            .collect();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.forms.len();
        for (secret, forms) in new {
            if forms.iter().any(|form| !known.forms.contains(form)) {
                known.secrets.insert(secret.to_vec());
                known.forms.extend(forms);
            }
        }
        if known.forms.len() == before {
            return;
        }
        known.longest = known.forms.iter().map(Vec::len).max().unwrap_or(0);
        // Fails only for more states than 31 bits count; then what was known stays known.
        match AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            // A table for each state would take megabytes for one key file.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&known.forms)
        {
            Ok(search) => known.search = Some(search),
            Err(error) => {
                tracing::error!(%error, "a secret cannot be added to those that are redacted")
            }
        }
    }

    /// The values that are replaced, as they were told.
    pub fn secrets(&self) -> Vec<Vec<u8>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.secrets.iter().cloned().collect()
    }

    /// The bytes without secrets.
    pub fn bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let found = self.find(bytes).0;
        if found.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut result = Vec::with_capacity(bytes.len());
        let mut done = 0;
        for range in found {
            result.extend_from_slice(bytes.get(done..range.start).unwrap_or_default());
            result.extend_from_slice(MARK.as_bytes());
            done = range.end;
        }
        result.extend_from_slice(bytes.get(done..).unwrap_or_default());
        Cow::Owned(result)
    }

    /// The text without secrets.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
                Ok(text) => text,
                // A secret that is not text may begin or end inside a character.
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            }),
        }
    }

    /// Takes secrets out of every text, key and number of a JSON value; a number that holds
    /// one becomes the text `***`.
    pub fn value(&self, value: &mut Value) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => {
                if let Cow::Owned(text) = self.text(&number.to_string()) {
                    *value = Value::String(text);
                }
            }
            Value::String(text) => {
                if let Cow::Owned(redacted) = self.text(text) {
                    *text = redacted;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(members) => {
                let hit = |key: &String| matches!(self.text(key), Cow::Owned(_));
                if members.keys().any(hit) {
                    *members = std::mem::take(members)
                        .into_iter()
                        .map(|(key, member)| (self.text(&key).into_owned(), member))
                        .collect();
                }
                members.values_mut().for_each(|member| self.value(member));
            }
        }
    }

    /// For bytes that come in pieces.
    pub fn stream(&self) -> RedactedStream {
        RedactedStream {
            redactor: self.clone(),
            pending: Vec::new(),
            covered: 0,
            inside: false,
        }
    }

    /// Where secrets are, in order and not touching, and the length of the longest form.
    fn find(&self, bytes: &[u8]) -> (Vec<Range<usize>>, usize) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let Some(search) = &known.search else {
            return (Vec::new(), 0);
        };
        let mut found: Vec<Range<usize>> = search
            .find_overlapping_iter(bytes)
            .map(|hit| hit.range())
            .collect();
        found.sort_by_key(|range| range.start);
        (joined(found), known.longest)
    }
}

/// Ranges sorted by their start, as ranges that do not touch.
fn joined(sorted: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut result: Vec<Range<usize>> = Vec::new();
    for range in sorted {
        match result.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => result.push(range),
        }
    }
    result
}

/// Redacts bytes that come in pieces, wherever they are cut. It holds back as many bytes as
/// the longest form has, less one; [`finish`](Self::finish) gives those.
pub struct RedactedStream {
    redactor: Redactor,
    pending: Vec<u8>,
    /// How many bytes at the start of `pending` belong to a secret that began before it.
    covered: usize,
    /// Whether the byte before `pending` belonged to a secret, whose mark is out already.
    inside: bool,
}

impl RedactedStream {
    /// Takes more bytes and gives what can be said of those so far.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(bytes);
        self.take(false)
    }

    /// Gives the rest.
    pub fn finish(mut self) -> Vec<u8> {
        self.take(true)
    }

    fn take(&mut self, all: bool) -> Vec<u8> {
        let (mut found, longest) = self.redactor.find(&self.pending);
        if self.covered > 0 {
            found.insert(0, 0..self.covered);
            found.sort_by_key(|range| range.start);
            found = joined(found);
        }
        // Every occurrence that begins before this place has ended inside `pending`.
        let cut = if all {
            self.pending.len()
        } else {
            self.pending.len().saturating_sub(longest.saturating_sub(1))
        };
        if cut == 0 {
            return Vec::new();
        }
        let was_inside = std::mem::take(&mut self.inside);
        self.covered = 0;
        let mut result = Vec::new();
        let mut done = 0;
        for range in found {
            if range.start >= cut {
                break;
            }
            result.extend_from_slice(self.pending.get(done..range.start).unwrap_or_default());
            if range.start > 0 || !was_inside {
                result.extend_from_slice(MARK.as_bytes());
            }
            done = range.end.min(cut);
            self.covered = range.end.saturating_sub(cut);
            self.inside = range.end >= cut;
        }
        result.extend_from_slice(self.pending.get(done..cut).unwrap_or_default());
        self.pending.drain(..cut);
        result
    }
}

/// The byte strings by which a secret is recognised.
fn forms(secret: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut result = BTreeSet::new();
    let mut whole = |value: &[u8]| {
        if value.len() < SHORTEST {
            return;
        }
        result.insert(value.to_vec());
        let lossy = String::from_utf8_lossy(value);
        result.insert(lossy.as_bytes().to_vec());
        // As the tool's refusal quotes an argument.
        result.insert(regex::escape(&lossy).into_bytes());
        let quoted = [
            Value::String(lossy.clone().into_owned()).to_string(),
            format!("{lossy:?}"),
        ];
        for text in quoted {
            // Both forms stand in quotes.
            if let Some(inner) = text.get(1..text.len().saturating_sub(1)) {
                result.insert(inner.as_bytes().to_vec());
            }
        }
        if value.len() > LONGEST_ENCODED {
            return;
        }
        let encoded = base64_forms(value)
            .into_iter()
            .chain([
                hex::encode(value),
                hex::encode_upper(value),
                percent_encoded(value, true),
                percent_encoded(value, false),
            ])
            .filter(|form| form.len() >= SHORTEST_FORM);
        result.extend(encoded.map(String::into_bytes));
    };
    whole(secret);
    // Written into a file, a secret often gets or loses the newline at its end.
    whole(secret.trim_ascii());
    // Logs go line by line; a key in PEM has many.
    if secret.trim_ascii().contains(&b'\n') {
        result.extend(
            secret
                .split(|byte| *byte == b'\n')
                .map(|line| line.trim_ascii().to_vec())
                .filter(|line| line.len() >= SHORTEST_FORM),
        );
    }
    result
}

/// The characters that stand for `value` and nothing else inside base64 (RFC 4648 §4, §5) of
/// a longer text, for each of the three places it may have in a group of three bytes.
fn base64_forms(value: &[u8]) -> Vec<String> {
    let mut result = Vec::new();
    for before in 0..3_usize {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(value);
        // A character is six bits; those shared with neighbours are left out.
        let first = (before * 8).div_ceil(6);
        let last = bytes.len() * 8 / 6;
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = engine.encode(&bytes);
            // With its last character, which stands for the end, and without.
            let ends = [text.len(), last];
            let parts = ends.into_iter().filter_map(|end| text.get(first..end));
            result.extend(parts.map(str::to_owned));
        }
    }
    result
}

/// RFC 3986 §2.1, with everything but unreserved characters encoded.
fn percent_encoded(value: &[u8], upper: bool) -> String {
    use std::fmt::Write as _;
    let mut result = String::new();
    for byte in value {
        let _infallible = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                write!(result, "{}", char::from(*byte))
            }
            _ if upper => write!(result, "%{byte:02X}"),
            _ => write!(result, "%{byte:02x}"),
        };
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const SECRET: &str = "p\"ss w0rd/ü+?>~";

    fn knowing(secret: &str) -> Redactor {
        let redactor = Redactor::new();
        redactor.remember(secret.as_bytes());
        redactor
    }

    #[test]
    fn every_usual_form_is_replaced() {
        let redactor = knowing(SECRET);
        let b64 =
            |before: &str, after: &str| STANDARD_NO_PAD.encode(format!("{before}{SECRET}{after}"));
        let inner = URL_SAFE_NO_PAD.encode(SECRET);
        let inner = inner[..inner.len() - 1].to_owned();
        let cases = [
            SECRET.to_owned(),
            json!(SECRET).to_string(),
            format!("{SECRET:?}"),
            hex::encode(SECRET),
            hex::encode_upper(SECRET),
            inner,
            percent_encoded(SECRET.as_bytes(), true),
            percent_encoded(SECRET.as_bytes(), false),
        ];
        for case in cases {
            let text = format!("before {case} after");
            let redacted = redactor.text(&text);
            assert!(!redacted.contains(&case), "{case}: {redacted}");
            assert!(redacted.starts_with("before ") && redacted.ends_with(" after"));
        }
        for before in ["", "u", "us", "user:pass:"] {
            for after in ["", "x", "xy"] {
                let text = b64(before, after);
                let redacted = redactor.text(&text);
                assert!(redacted.contains(MARK), "{before}|{after}: {redacted}");
                assert!(redacted.len() <= text.len() - 14, "{text}: {redacted}");
            }
        }
    }

    #[test]
    fn a_key_of_many_lines_is_replaced_line_by_line() {
        let redactor =
            knowing("-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n");
        assert_eq!(redactor.text("1: MIIEvQIBADANBg"), "1: ***");
        assert_eq!(redactor.text("kqhkiG9w0BAQEF\r\n"), "***\r\n");
    }

    #[test]
    fn a_newline_more_or_less_does_not_matter() {
        assert_eq!(knowing("hunter22\n").text("is hunter22."), "is ***.");
    }

    #[test]
    fn overlapping_secrets_leave_nothing() {
        let redactor = knowing("abcdef");
        redactor.remember(b"defghi");
        assert_eq!(redactor.text("<abcdefghi>"), "<***>");
        assert_eq!(redactor.text("<abcdef abcdef>"), "<*** ***>");
    }

    #[test]
    fn json_is_cleaned_in_texts_keys_and_numbers() {
        let redactor = knowing("123456");
        let mut value = json!({"a": ["x123456y", 1], "k123456": 9_123_456, "n": null, "t": true});
        redactor.value(&mut value);
        assert_eq!(
            value,
            json!({"a": ["x***y", 1], "k***": "9***", "n": null, "t": true})
        );
    }

    #[test]
    fn a_child_tells_its_parent_and_not_its_sister() {
        let host = Redactor::new();
        let (one, two) = (host.child(), host.child());
        one.remember(b"only-for-one");
        assert_eq!(one.text("only-for-one"), MARK);
        assert_eq!(host.text("only-for-one"), MARK);
        assert_eq!(two.text("only-for-one"), "only-for-one");
    }

    #[test]
    fn what_is_too_short_is_left() {
        assert_eq!(knowing("abc").text("abc"), "abc");
        assert_eq!(knowing("").text("abc"), "abc");
    }

    #[test]
    fn a_stream_without_secrets_holds_nothing_back() {
        let mut stream = Redactor::new().stream();
        assert_eq!(stream.push(b"at once"), b"at once");
        assert_eq!(stream.finish(), b"");
    }

    #[test]
    fn an_endless_secret_does_not_fill_memory() {
        let redactor = knowing("aaaa");
        let mut stream = redactor.stream();
        let mut out = Vec::new();
        for _ in 0..1000 {
            out.extend(stream.push(b"aaaaaaaaaa"));
            assert!(stream.pending.len() < 64);
        }
        out.extend(stream.finish());
        assert_eq!(out, MARK.as_bytes());
    }

    proptest! {
        #[test]
        fn a_stream_gives_what_the_whole_gives(
            text in "[abc]{0,80}",
            secrets in proptest::collection::vec("[abc]{4,6}", 0..4),
            cuts in proptest::collection::vec(0_usize..20, 1..30),
        ) {
            let redactor = Redactor::new();
            for secret in &secrets {
                redactor.remember(secret.as_bytes());
            }
            let mut stream = redactor.stream();
            let mut out = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                out.extend(stream.push(now));
                rest = later;
            }
            out.extend(stream.push(rest));
            out.extend(stream.finish());
            let whole = redactor.bytes(text.as_bytes());
            prop_assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&whole));
        }

        #[test]
        fn no_secret_is_left(text in "[ab]{0,60}", secret in "[ab]{4,5}") {
            let redacted = knowing(&secret).text(&text).into_owned();
            prop_assert!(!redacted.contains(&secret), "{} {} {}", text, secret, redacted);
        }
    }
}
