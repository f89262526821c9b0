//! Server-sent events (WHATWG HTML, section 9.2) out of a stream of bytes.

use super::transport::ByteStream;
use futures_util::StreamExt;

/// The longest line that is kept, in bytes; what is longer is no event of this API.
const MAX_LINE: usize = 16 << 20;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerEvent {
    /// The last event id that was sent, for going on after it.
    pub id: Option<String>,
    /// What kind of event; empty means `message`.
    pub event: String,
    /// Its data lines, joined by newlines.
    pub data: String,
}

/// Events as they arrive.
pub struct Events {
    body: ByteStream,
    parser: Parser,
    ready: std::collections::VecDeque<ServerEvent>,
}

impl Events {
    /// Of this body.
    pub fn new(body: ByteStream) -> Self {
        Self {
            body,
            parser: Parser::default(),
            ready: std::collections::VecDeque::new(),
        }
    }

    /// The next event; nothing when the stream has ended, an error when it broke off.
    pub async fn next(&mut self) -> Result<Option<ServerEvent>, String> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            match self.body.next().await {
                None => return Ok(None),
                Some(Err(reason)) => return Err(reason),
                Some(Ok(bytes)) => self.parser.feed(&bytes, &mut self.ready)?,
            }
        }
    }
}

#[derive(Default)]
struct Parser {
    line: Vec<u8>,
    after_return: bool,
    id: Option<String>,
    event: String,
    data: Vec<String>,
}

impl Parser {
    fn feed(&mut self, bytes: &[u8], out: &mut impl Extend<ServerEvent>) -> Result<(), String> {
        for byte in bytes {
            // CR, LF and CRLF each end a line.
            let newline = match byte {
                b'\n' if std::mem::take(&mut self.after_return) => continue,
                b'\n' => true,
                b'\r' => {
                    self.after_return = true;
                    true
                }
                _ => {
                    self.after_return = false;
                    false
                }
            };
            if newline {
                let line = std::mem::take(&mut self.line);
                self.take(&String::from_utf8_lossy(&line), out);
            } else if self.line.len() < MAX_LINE {
                self.line.push(*byte);
            } else {
                return Err(format!("a line is longer than {MAX_LINE} bytes"));
            }
        }
        Ok(())
    }

    fn take(&mut self, line: &str, out: &mut impl Extend<ServerEvent>) {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            let data = std::mem::take(&mut self.data);
            if !data.is_empty() {
                out.extend([ServerEvent {
                    id: self.id.clone(),
                    event,
                    data: data.join("\n"),
                }]);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.event),
            "data" => self.data.push(value.to_owned()),
            // Comments have no field; `retry` and what is unknown is not for us.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(parts: &[&str]) -> Vec<ServerEvent> {
        let (mut parser, mut out) = (Parser::default(), Vec::new());
        for part in parts {
            parser.feed(part.as_bytes(), &mut out).unwrap();
        }
        out
    }

    #[test]
    fn events_come_out_whole_however_the_bytes_are_cut() {
        let text =
            ": hello\r\nid: 7\nevent: run\ndata: {\"a\":\ndata:1}\n\ndata\n\nid\ndata: x\r\r";
        let whole = parse(&[text]);
        assert_eq!(whole.len(), 3);
        assert_eq!(whole[0].id.as_deref(), Some("7"));
        assert_eq!(whole[0].event, "run");
        assert_eq!(whole[0].data, "{\"a\":\n1}");
        assert_eq!(whole[1].data, "");
        assert_eq!(whole[1].id.as_deref(), Some("7"), "the id stays");
        assert_eq!(whole[2].id.as_deref(), Some(""), "an empty id resets");
        for cut in 1..text.len() {
            let (a, b) = text.split_at(cut);
            assert_eq!(parse(&[a, b]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn an_event_without_its_empty_line_is_not_delivered() {
        assert!(parse(&["data: x\n"]).is_empty());
        assert!(parse(&["event: x\n\n"]).is_empty());
    }
}
