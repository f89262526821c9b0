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
/// shown as escapes.
pub fn safe(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' && c != '\t' {
                c.escape_default().to_string()
            } else {
                c.to_string()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_guest_cannot_talk_to_the_terminal() {
        assert_eq!(super::safe("a\tb\n\u{1b}[2Jc"), "a\tb\n\\u{1b}[2Jc");
    }
}
