//! Reads recordings, of which nothing is believed.

use super::block::{Block, StoredBlock};
use super::error::RecordingError;
use super::model::{End, Exchange, Header, Recording};
use super::{EXTENSION, FORMAT, MOST_BYTES, MOST_EXCHANGES};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The longest line: a block of 16 MiB in base64, with room.
const LONGEST_LINE: u64 = 32 << 20;

/// A line after the first.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Block(StoredBlock),
    Call { call: Box<Header> },
    Exchange(Box<Exchange>),
    End { end: Box<End> },
    Digest { sha256: String },
}

/// Lines of a file, their number and their digest.
struct Lines<'a> {
    path: &'a Path,
    file: BufReader<io::Take<File>>,
    hash: Sha256,
    number: u64,
    line: Vec<u8>,
}

impl Lines<'_> {
    /// The next whole line without its end; none where the file ends.
    fn next(&mut self) -> Result<Option<&[u8]>, RecordingError> {
        self.hash.update(&self.line);
        self.line.clear();
        let mut limited = (&mut self.file).take(LONGEST_LINE);
        limited
            .read_until(b'\n', &mut self.line)
            .map_err(|error| RecordingError::Io {
                path: self.path.to_owned(),
                error,
            })?;
        match self.line.split_last() {
            Some((b'\n', line)) => {
                self.number += 1;
                Ok(Some(line))
            }
            Some(_) if self.line.len() as u64 >= LONGEST_LINE => {
                Err(self.damaged(format!("the line is longer than {LONGEST_LINE} bytes")))
            }
            _ => Ok(None),
        }
    }

    fn damaged(&self, reason: impl Into<String>) -> RecordingError {
        RecordingError::Damaged {
            path: self.path.to_owned(),
            line: self.number.max(1),
            reason: reason.into(),
        }
    }

    fn truncated(&self) -> RecordingError {
        RecordingError::Truncated {
            path: self.path.to_owned(),
            lines: self.number,
        }
    }
}

impl Recording {
    /// Reads a recording.
    ///
    /// # Errors
    /// [`RecordingError`] where the file is something else, was cut or is damaged.
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        let io = |error| RecordingError::Io {
            path: path.to_owned(),
            error,
        };
        let metadata = std::fs::metadata(path).map_err(io)?;
        // Opening a pipe would wait for a writer, and a device has no end.
        if !metadata.is_file() {
            return Err(RecordingError::Foreign {
                path: path.to_owned(),
            });
        }
        if metadata.len() > MOST_BYTES {
            return Err(RecordingError::TooLarge {
                path: path.to_owned(),
                most: MOST_BYTES,
            });
        }
        let mut lines = Lines {
            path,
            file: BufReader::new(File::open(path).map_err(io)?.take(MOST_BYTES)),
            hash: Sha256::new(),
            number: 0,
            line: Vec::new(),
        };
        let made_by = first(&mut lines)?;
        rest(&mut lines, made_by)
    }

    /// Reads a recording, or all of a folder in the order of their names, which is that of
    /// their beginnings.
    ///
    /// # Errors
    /// As [`read`](Self::read); of a folder, the first that cannot be read.
    pub fn read_all(path: &Path) -> Result<Vec<(PathBuf, Self)>, RecordingError> {
        if !path.is_dir() {
            return Ok(vec![(path.to_owned(), Self::read(path)?)]);
        }
        let entries = std::fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut paths: Vec<PathBuf> = entries
            .map_err(|error| RecordingError::Io {
                path: path.to_owned(),
                error,
            })?
            .into_iter()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|found| found == EXTENSION))
            .collect();
        paths.sort();
        paths
            .into_iter()
            .map(|path| Self::read(&path).map(|recording| (path, recording)))
            .collect()
    }
}

/// Checks the line that says what the file is, and returns who made it.
fn first(lines: &mut Lines<'_>) -> Result<String, RecordingError> {
    let foreign = RecordingError::Foreign {
        path: lines.path.to_owned(),
    };
    let line = match lines.next() {
        Ok(line) => line.and_then(|line| serde_json::from_slice::<Value>(line).ok()),
        Err(RecordingError::Damaged { .. }) => None,
        Err(error) => return Err(error),
    };
    let Some(line) = line else {
        return Err(foreign);
    };
    let Some(found) = line.get("cofferdam-recording").and_then(Value::as_u64) else {
        return Err(foreign);
    };
    let made_by = line.get("made-by").and_then(Value::as_str);
    let made_by = made_by.unwrap_or("unknown").to_owned();
    if found != u64::from(FORMAT) {
        return Err(RecordingError::Version {
            path: lines.path.to_owned(),
            found,
            known: FORMAT,
            made_by,
        });
    }
    Ok(made_by)
}

fn rest(lines: &mut Lines<'_>, made_by: String) -> Result<Recording, RecordingError> {
    let mut blocks: HashMap<String, Block> = HashMap::new();
    let mut header = None;
    let mut exchanges = Vec::new();
    let mut end = None;
    loop {
        let Some(line) = lines.next()? else {
            return Err(lines.truncated());
        };
        let line = serde_json::from_slice::<Line>(line);
        match line {
            Ok(Line::Block(block)) if header.is_none() => {
                let block = block.read().map_err(|reason| lines.damaged(reason))?;
                blocks.insert(block.sha256.clone(), block);
            }
            Ok(Line::Call { call }) if header.is_none() => header = Some(*call),
            Ok(Line::Exchange(exchange)) if header.is_some() && end.is_none() => {
                if exchanges.len() >= MOST_EXCHANGES {
                    return Err(lines.damaged(format!("more than {MOST_EXCHANGES} exchanges")));
                }
                let exchange = whole(*exchange, &blocks).map_err(|reason| lines.damaged(reason))?;
                exchanges.push(exchange);
            }
            Ok(Line::End { end: found }) if header.is_some() && end.is_none() => {
                end = Some(*found);
            }
            Ok(Line::Digest { sha256 }) => {
                let computed = hex::encode(lines.hash.clone().finalize());
                if sha256 != computed {
                    return Err(lines.damaged("the lines before do not have this digest"));
                }
                let (Some(header), Some(end)) = (header, end) else {
                    return Err(lines.damaged("the call or its end is missing"));
                };
                if lines.next()?.is_some() || !lines.line.is_empty() {
                    return Err(lines.damaged("there is more after the end"));
                }
                return Ok(Recording {
                    made_by,
                    header,
                    exchanges,
                    end,
                });
            }
            Ok(_) => return Err(lines.damaged("the line is not in its place")),
            Err(_) => return Err(lines.damaged("the line is none that a recording has")),
        }
    }
}

/// The exchange with the contents that it names.
fn whole(mut exchange: Exchange, blocks: &HashMap<String, Block>) -> Result<Exchange, String> {
    let answer = exchange
        .answer
        .as_mut()
        .and_then(|answer| answer.as_mut().ok());
    let in_answer = answer.and_then(|answer| answer.block_mut());
    for block in exchange.ask.block_mut().into_iter().chain(in_answer) {
        let found = blocks.get(&block.sha256);
        match found.filter(|found| found.length == block.length) {
            Some(found) => *block = found.clone(),
            None => return Err(format!("the block {} is missing", block.sha256)),
        }
    }
    Ok(exchange)
}
