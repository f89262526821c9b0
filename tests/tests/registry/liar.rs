//! A registry that answers what a test tells it to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// What is asked: the method and the path with its query, and the credentials.
pub struct Asked {
    pub line: String,
    pub authorization: Option<String>,
}

/// An answer: its status, its headers, each with its line's end, and its body.
pub struct Answer(pub u16, pub String, pub Vec<u8>);

/// Listens until the test's process ends.
pub struct Liar {
    pub address: String,
}

impl Liar {
    pub fn start(answer: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer = Arc::new(answer);
        thread::spawn(move || {
            // Kept open, those that get no answer.
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                match answer(&read(&mut stream)) {
                    Some(answer) => write(&mut stream, &answer),
                    None => silent.push(stream),
                }
            }
        });
        Self { address }
    }
}

fn read(stream: &mut TcpStream) -> Asked {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        let lower = line.to_lowercase();
        if let Some(text) = lower.strip_prefix("content-length:") {
            length = text.trim().parse().unwrap();
        }
        lines.push(line.trim_end().to_owned());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let authorization = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        (name.eq_ignore_ascii_case("authorization")).then(|| value.to_owned())
    });
    Asked {
        line: lines.first().cloned().unwrap_or_default(),
        authorization,
    }
}

fn write(stream: &mut TcpStream, Answer(status, headers, body): &Answer) {
    let mut headers = headers.clone();
    if !headers.contains("Content-Length") {
        headers += &format!("Content-Length: {}\r\n", body.len());
    }
    let head = format!("HTTP/1.1 {status} X\r\n{headers}Connection: close\r\n\r\n");
    // Whoever has read enough may be gone.
    stream.write_all(head.as_bytes()).ok();
    stream.write_all(body).ok();
}
