//! Changing parts of a configuration file and leaving every other byte as it is: line
//! ends, spacing, comments, a missing final newline, bytes that are no UTF-8.

use std::ops::Range;

/// `content` with each range replaced by its new bytes. Ranges are in ascending order, do
/// not overlap and are inside the content; one that is not is skipped.
pub fn replace_ranges(content: &[u8], replacements: &[(Range<usize>, Vec<u8>)]) -> Vec<u8> {
    let mut result = Vec::with_capacity(content.len());
    let mut done = 0;
    for (range, new) in replacements {
        if range.start > range.end || range.end > content.len() {
            continue;
        }
        let Some(before) = content.get(done..range.start) else {
            continue;
        };
        result.extend_from_slice(before);
        result.extend_from_slice(new);
        done = range.end;
    }
    result.extend_from_slice(content.get(done..).unwrap_or_default());
    result
}

/// The ranges of the lines, without `\n` and a `\r` before it.
pub fn lines(content: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = 0;
    content
        .split_inclusive(|byte| *byte == b'\n')
        .map(move |line| {
            let begin = start;
            start += line.len();
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            begin..begin + text.len()
        })
}

/// The ranges of the words of a part of the content, separated by spaces and tabs.
pub fn words(content: &[u8], part: Range<usize>) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut at = part.start;
    for word in content
        .get(part)
        .unwrap_or_default()
        .split(|byte| matches!(byte, b' ' | b'\t'))
    {
        if !word.is_empty() {
            words.push(at..at + word.len());
        }
        at += word.len() + 1;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn replacing_words_by_themselves_changes_nothing(content in "[ab \t\r\n]{0,60}") {
            let content = content.as_bytes();
            let mut same = Vec::new();
            for line in lines(content) {
                for word in words(content, line) {
                    same.push((word.clone(), content[word].to_vec()));
                }
            }
            prop_assert_eq!(replace_ranges(content, &same), content);
        }
    }

    #[test]
    fn only_the_ranges_change() {
        let content = b"# c\r\n a\tb  c\n\nlast \xff";
        let found: Vec<Vec<&[u8]>> = lines(content)
            .map(|line| {
                let words = words(content, line).into_iter();
                words.map(|word| &content[word]).collect()
            })
            .collect();
        assert_eq!(
            found,
            [
                vec![&b"#"[..], b"c"],
                vec![b"a", b"b", b"c"],
                vec![],
                vec![b"last", b"\xff"]
            ]
        );
        let replaced = replace_ranges(b"one two", &[(0..3, b"1".to_vec()), (4..7, vec![])]);
        assert_eq!(replaced, b"1 ");
        let outside = [(5..99, vec![]), (0..1, b"x".to_vec())];
        assert_eq!(replace_ranges(b"one", &outside), b"xne");
    }
}
