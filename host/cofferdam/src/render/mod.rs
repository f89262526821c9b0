//! What is shared by what is printed.

pub mod run;
pub mod table;
pub mod time;

use anyhow::Result;
use serde::Serialize;
use std::io::Write;

/// A number of bytes for people: exact below a KiB, else to three digits.
pub fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

/// Prints a value as JSON.
pub fn json(value: &impl Serialize) -> Result<()> {
    say(format_args!("{}\n", serde_json::to_string_pretty(value)?));
    Ok(())
}

/// Writes to standard output. A reader that went away (`| head`) is no failure: what was
/// to be done is done all the same.
pub fn say(text: std::fmt::Arguments<'_>) {
    let written = std::io::stdout().lock().write_fmt(text);
    if let Err(error) = written
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        eprintln!("warning: cannot write to standard output: {error}");
    }
}

/// Prints a line, as `println!` does, but never panics.
macro_rules! sayln {
    () => { $crate::render::say(format_args!("\n")) };
    ($format:literal $($rest:tt)*) => {
        $crate::render::say(format_args!("{}\n", format_args!($format $($rest)*)))
    };
}
pub(crate) use sayln;

/// Text from outside, safe for a terminal: control characters but newline and tab are
/// shown as escapes, and so is what cannot be seen or turns the text around it.
pub fn safe(text: &str) -> String {
    text.chars()
        .map(|c| {
            let unseen = c.is_control() && c != '\n' && c != '\t';
            if unseen || is_format(c) {
                c.escape_default().to_string()
            } else {
                c.to_string()
            }
        })
        .collect()
}

/// [`safe`] text for one line: line breaks and tabs are shown as escapes too, so that it
/// cannot begin a line of its own.
pub fn safe_line(text: &str) -> String {
    safe(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// Whether it is a format character (general category Cf) that hides text or changes its
/// direction: Unicode 15.0, chapter 23.2 (layout controls) and 23.9 (tags).
const fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_cannot_pretend_to_be_other_text() {
        let tricks = "pay \u{202e}eman\u{202c} \u{2066}x\u{2069}\u{200b}\u{e0041}";
        assert_eq!(
            super::safe(tricks),
            "pay \\u{202e}eman\\u{202c} \\u{2066}x\\u{2069}\\u{200b}\\u{e0041}"
        );
        assert_eq!(super::safe("Grüße, 你好"), "Grüße, 你好");
    }

    #[test]
    fn a_guest_cannot_talk_to_the_terminal() {
        let text = "a\tb\n\u{1b}[2Jc";
        assert_eq!(super::safe(text), "a\tb\n\\u{1b}[2Jc");
        assert_eq!(super::safe_line(text), "a\\tb\\n\\u{1b}[2Jc");
    }
}
