//! A lexer for what `/etc/default/grub` (POSIX sh) and `grub.cfg` (GRUB's script language)
//! have in common: words, two kinds of quotes, backslashes, comments, command ends.
//!
//! It answers one question: where, in the file, are the pieces that a command or an
//! assignment is made of. Expansions and substitutions stay text. Sources: POSIX
//! XCU 2.2 and 2.3; GRUB manual 2.06, "Shell-like scripting".

use std::ops::Range;

/// A stretch of a word without quotes and white space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where it is in the file.
    pub(crate) range: Range<usize>,
    /// Whether it is inside quotes.
    pub(crate) quoted: bool,
    /// Which word of the file it belongs to: `a="b c"` is one word of three pieces.
    pub(crate) word: usize,
}

/// The pieces of one command, up to a newline, a `;` or a brace.
pub(crate) type Command = Vec<Piece>;

/// Words after which another command begins on the same line.
const KEYWORDS: [&[u8]; 9] = [
    b"if", b"elif", b"then", b"else", b"while", b"until", b"do", b"!", b"{",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

struct Lexer<'a> {
    content: &'a [u8],
    commands: Vec<Command>,
    command: Command,
    /// Where the piece that is being read began.
    piece: Option<usize>,
    quote: Quote,
    word: usize,
    /// Whether the word that is being read has anything in it, quotes included.
    in_word: bool,
}

impl Lexer<'_> {
    fn end_piece(&mut self, at: usize) {
        if let Some(start) = self.piece.take() {
            self.command.push(Piece {
                range: start..at,
                quoted: self.quote != Quote::None,
                word: self.word,
            });
        }
    }

    fn end_word(&mut self, at: usize) {
        self.end_piece(at);
        if self.in_word {
            self.in_word = false;
            self.word += 1;
            // A brace alone, or a keyword in front, ends a command.
            let text = |piece: &Piece| self.content.get(piece.range.clone());
            let ends = match self.command.as_slice() {
                [only] if !only.quoted => text(only)
                    .is_some_and(|text| KEYWORDS.contains(&text) || text == b"}".as_slice()),
                [.., last] => {
                    let alone = !self
                        .command
                        .iter()
                        .rev()
                        .skip(1)
                        .any(|piece| piece.word == last.word);
                    !last.quoted && alone && text(last) == Some(b"{".as_slice())
                }
                [] => false,
            };
            if ends {
                self.end_command(at);
            }
        }
    }

    fn end_command(&mut self, at: usize) {
        self.end_piece(at);
        if self.in_word {
            self.end_word(at);
        }
        if !self.command.is_empty() {
            self.commands.push(std::mem::take(&mut self.command));
        }
    }
}

/// The commands of a script. None where a quote is never closed: then nothing is known for
/// sure.
pub(crate) fn commands(content: &[u8]) -> Option<Vec<Command>> {
    let mut lexer = Lexer {
        content,
        commands: Vec::new(),
        command: Vec::new(),
        piece: None,
        quote: Quote::None,
        word: 0,
        in_word: false,
    };
    let mut bytes = content.iter().copied().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match (lexer.quote, byte) {
            (Quote::None, b'#') if !lexer.in_word => {
                while bytes.next_if(|(_, byte)| *byte != b'\n').is_some() {}
            }
            (Quote::None | Quote::Double, b'\\') => {
                let next = bytes.next();
                if matches!(next, Some((_, b'\n'))) {
                    // A continued line: white space outside quotes, nothing inside.
                    lexer.end_piece(at);
                } else {
                    lexer.in_word = true;
                    lexer.piece.get_or_insert(at);
                }
            }
            (Quote::None, b'\'' | b'"') => {
                lexer.end_piece(at);
                lexer.in_word = true;
                lexer.quote = if byte == b'"' {
                    Quote::Double
                } else {
                    Quote::Single
                };
            }
            (Quote::Single, b'\'') | (Quote::Double, b'"') => {
                lexer.end_piece(at);
                lexer.quote = Quote::None;
            }
            (Quote::None, b'\n' | b';') => lexer.end_command(at),
            (Quote::None, b' ' | b'\t' | b'\r') => lexer.end_word(at),
            (_, b' ' | b'\t' | b'\r' | b'\n') => lexer.end_piece(at),
            _ => {
                lexer.in_word = true;
                lexer.piece.get_or_insert(at);
            }
        }
    }
    lexer.end_command(content.len());
    (lexer.quote == Quote::None).then_some(lexer.commands)
}

/// The pieces of the values that a script gives to a variable, one list an assignment
/// (`NAME=…`, `NAME+=…`, `export NAME=…`).
pub(crate) fn assignments(content: &[u8], commands: &[Command], name: &str) -> Vec<Command> {
    let values = commands.iter().filter_map(|command| {
        let mut pieces = command.iter();
        let mut first = pieces.next()?;
        if content.get(first.range.clone()) == Some(b"export") {
            first = pieces.next()?;
        }
        let text = content.get(first.range.clone())?;
        let rest = text.strip_prefix(name.as_bytes())?;
        let value = rest.strip_prefix(b"+").unwrap_or(rest).strip_prefix(b"=")?;
        let unquoted = Piece {
            range: first.range.end - value.len()..first.range.end,
            ..first.clone()
        };
        let quoted = pieces.filter(|piece| piece.word == first.word).cloned();
        let value = std::iter::once(unquoted).chain(quoted);
        Some(value.filter(|piece| !piece.range.is_empty()).collect())
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(content: &str) -> Vec<Vec<&str>> {
        commands(content.as_bytes())
            .unwrap()
            .into_iter()
            .map(|command| {
                let pieces = command.into_iter();
                pieces.map(|piece| &content[piece.range]).collect()
            })
            .collect()
    }

    #[test]
    fn commands_come_apart() {
        let cases: [(&str, &[&[&str]]); 9] = [
            ("a b\n c;d", &[&["a", "b"], &["c"], &["d"]]),
            ("# it's a comment\na #b 'c\nd#e", &[&["a"], &["d#e"]]),
            ("a='b c'\"d e\"f", &[&["a=", "b", "c", "d", "e", "f"]]),
            (
                "menuentry 'x { y' {\n\tlinux /z\n}",
                &[&["menuentry", "x", "{", "y", "{"], &["linux", "/z"], &["}"]],
            ),
            (
                "if [ x ]; then linux a; fi",
                &[
                    &["if"],
                    &["[", "x", "]"],
                    &["then"],
                    &["linux", "a"],
                    &["fi"],
                ],
            ),
            ("linux a \\\n  b", &[&["linux", "a", "b"]]),
            ("set x=\"${y}\" # z", &[&["set", "x=", "${y}"]]),
            ("a\\ b 'c\\'", &[&["a\\ b", "c\\"]]),
            ("a\r\nb\r\n", &[&["a"], &["b"]]),
        ];
        for (content, expected) in cases {
            assert_eq!(texts(content), expected, "{content}");
        }
        assert_eq!(commands(b"a 'b"), None);
        assert_eq!(commands(b"a \"b\\\""), None);
    }

    #[test]
    fn a_value_is_one_word() {
        let values = |content: &str| -> Vec<Vec<String>> {
            let commands = commands(content.as_bytes()).unwrap();
            let values = assignments(content.as_bytes(), &commands, "A").into_iter();
            values
                .map(|pieces| {
                    let pieces = pieces.into_iter();
                    pieces
                        .map(|piece| content[piece.range].to_string())
                        .collect()
                })
                .collect()
        };
        let cases: [(&str, &[&[&str]]); 7] = [
            ("A=\"x y\" # z", &[&["x", "y"]]),
            ("export A='x\ny'", &[&["x", "y"]]),
            ("A+=x", &[&["x"]]),
            ("A=", &[&[]]),
            ("A=x B=y", &[&["x"]]),
            ("AB=x\n#A=y\necho A=z", &[]),
            ("A=1\nif x; then A=2; fi", &[&["1"], &["2"]]),
        ];
        for (content, expected) in cases {
            assert_eq!(values(content), expected, "{content}");
        }
    }

    proptest! {
        #[test]
        fn pieces_are_in_order_and_inside(content in "[ab{};'\"\\\\#= \n]{0,40}") {
            let mut end = 0;
            for piece in commands(content.as_bytes()).into_iter().flatten().flatten() {
                prop_assert!(piece.range.start >= end && piece.range.start < piece.range.end);
                end = piece.range.end;
            }
            prop_assert!(end <= content.len());
        }
    }
}
