//! What a program or a serial console printed, made fit for an error message: terminals
//! are steered with control sequences, and firmware and boot loaders draw whole screens.

/// Most lines and most characters of an excerpt.
const MOST_LINES: usize = 20;
const MOST_CHARACTERS: usize = 4_000;

/// `output` without control sequences (ECMA-48) and control characters; a carriage return
/// alone begins a new line, as it would overwrite the old one.
pub fn readable(output: &str) -> String {
    let mut text = String::with_capacity(output.len());
    let mut rest = output.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => match rest.next() {
                // CSI: parameters, then one final character.
                Some('[') => {
                    rest.by_ref().find(|c| ('\u{40}'..='\u{7e}').contains(c));
                }
                // OSC: up to BEL or ST.
                Some(']') => {
                    let mut before = ' ';
                    rest.by_ref().find(|&c| {
                        let over = c == '\u{7}' || (before == '\u{1b}' && c == '\\');
                        before = c;
                        over
                    });
                }
                // Intermediate characters, then one final: a choice of character set.
                Some(' '..='/') => {
                    rest.by_ref().find(|c| ('\u{30}'..='\u{7e}').contains(c));
                }
                _ => {}
            },
            '\r' if rest.peek() == Some(&'\n') => {}
            '\r' => text.push('\n'),
            '\u{8}' => {
                if !text.ends_with('\n') {
                    text.pop();
                }
            }
            '\n' | '\t' => text.push(character),
            other if other.is_control() => {}
            other => text.push(other),
        }
    }
    text
}

/// The last lines of `output` that say something, made readable: at most 20, and at most
/// 4,000 characters.
pub fn excerpt(output: &str) -> String {
    let text = readable(output);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    let begin = lines.len().saturating_sub(MOST_LINES);
    let last = lines.get(begin..).unwrap_or_default().join("\n");
    let too_many = last.chars().count().saturating_sub(MOST_CHARACTERS);
    last.chars().skip(too_many).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_go_and_text_stays() {
        let cases = [
            ("plain\ttext\n", "plain\ttext\n"),
            ("a\r\nb\r\n", "a\nb\n"),
            ("50%\r100%\n", "50%\n100%\n"),
            ("\u{1b}[2J\u{1b}[1;1Hgrub> ", "grub> "),
            ("\u{1b}[0;32mOK\u{1b}[0m done", "OK done"),
            ("\u{1b}]0;title\u{7}x\u{1b}]0;t\u{1b}\\y", "xy"),
            ("\u{1b}(B\u{1b}cx", "x"),
            ("ab\u{8}c\u{0}\u{7f}", "ac"),
            ("cut \u{1b}[1;", "cut "),
            ("cut \u{1b}", "cut "),
            ("ä\u{fffd}", "ä\u{fffd}"),
        ];
        for (output, expected) in cases {
            assert_eq!(readable(output), expected, "{output:?}");
        }
    }

    #[test]
    fn an_excerpt_is_the_end_and_short() {
        let many: String = (0..100)
            .map(|line| format!("line {line}\n\n  \n"))
            .collect();
        let excerpt_of_many = excerpt(&many);
        assert_eq!(excerpt_of_many.lines().count(), 20);
        assert!(excerpt_of_many.ends_with("line 99"));
        let long = "é".repeat(10_000) + "end";
        assert_eq!(excerpt(&long).chars().count(), 4_000);
        assert!(excerpt(&long).ends_with("end"));
        assert_eq!(excerpt(" \r\n"), "");
    }
}
