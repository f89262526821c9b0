//! What the compiler answers, on its standard output.
//!
//! Magic, outcome (1 byte), sha256 of the component that it read, fingerprint of its engine
//! (8 bytes, little-endian), length of what follows (8 bytes), machine code or the reason
//! why there is none, sha256 of all before. Nothing comes after it.

use sha2::{Digest, Sha256};

const MAGIC: &[u8; 16] = b"cofferdam-code 1";
const COMPILED: u8 = 0;
const REFUSED: u8 = 1;
const SUM: usize = 32;

/// The longest reason that is passed on, bytes.
const MOST_REASON: usize = 4 << 10;

/// What became of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its machine code.
    Compiled(Vec<u8>),
    /// Why it is not valid.
    Refused(String),
}

/// The compiler's answer.
pub(super) fn write(component: &[u8], fingerprint: u64, outcome: &Outcome) -> Vec<u8> {
    let (kind, content) = match outcome {
        Outcome::Compiled(code) => (COMPILED, code.as_slice()),
        Outcome::Refused(reason) => (REFUSED, reason.as_bytes()),
    };
    let mut answer = Vec::with_capacity(content.len().saturating_add(128));
    answer.extend_from_slice(MAGIC);
    answer.push(kind);
    answer.extend_from_slice(&Sha256::digest(component));
    answer.extend_from_slice(&fingerprint.to_le_bytes());
    answer.extend_from_slice(&(content.len() as u64).to_le_bytes());
    answer.extend_from_slice(content);
    let sum = Sha256::digest(&answer);
    answer.extend_from_slice(&sum);
    answer
}

/// Reads an answer about the component with this digest for the engine with this
/// fingerprint.
///
/// # Errors
/// What is wrong with it; whoever wrote it is then not believed in anything.
pub(super) fn read(
    mut answer: Vec<u8>,
    digest: &[u8],
    fingerprint: u64,
) -> Result<Outcome, &'static str> {
    let length = answer.len().checked_sub(SUM).ok_or("it ends early")?;
    let (said, sum) = answer.split_at_checked(length).ok_or("it ends early")?;
    if Sha256::digest(said).as_slice() != sum {
        return Err("it is damaged");
    }
    let mut rest = said;
    let mut take = |length: usize| {
        let (part, after) = rest.split_at_checked(length).ok_or("it ends early")?;
        rest = after;
        Ok::<_, &'static str>(part)
    };
    if take(MAGIC.len())? != MAGIC {
        return Err("it is not in the form of an answer");
    }
    let kind = take(1)?.first().copied();
    if take(SUM)? != digest {
        return Err("it is about another component");
    }
    if take(8)? != fingerprint.to_le_bytes() {
        return Err("it is for another engine");
    }
    let length = take(8)?.to_owned();
    if length != (rest.len() as u64).to_le_bytes() {
        return Err("its length is not what it says");
    }
    let begin = said.len().saturating_sub(rest.len());
    let end = said.len();
    match kind {
        Some(COMPILED) => {
            answer.truncate(end);
            answer.drain(..begin);
            Ok(Outcome::Compiled(answer))
        }
        Some(REFUSED) => {
            let reason = rest.get(..MOST_REASON).unwrap_or(rest);
            Ok(Outcome::Refused(
                String::from_utf8_lossy(reason).into_owned(),
            ))
        }
        _ => Err("its outcome is unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let digest = Sha256::digest(b"component");
        for outcome in [
            Outcome::Compiled(b"machine code".to_vec()),
            Outcome::Compiled(Vec::new()),
            Outcome::Refused("no".to_owned()),
        ] {
            let answer = write(b"component", 7, &outcome);
            assert_eq!(read(answer, &digest, 7), Ok(outcome));
        }
    }

    #[test]
    fn no_answer_but_a_whole_one_about_this_component_is_believed() {
        let digest = Sha256::digest(b"component");
        let good = write(b"component", 7, &Outcome::Compiled(b"code".to_vec()));
        for length in 0..good.len() {
            assert!(
                read(good[..length].to_vec(), &digest, 7).is_err(),
                "{length}"
            );
        }
        for place in 0..good.len() {
            let mut flipped = good.clone();
            flipped[place] ^= 1;
            assert!(read(flipped, &digest, 7).is_err(), "{place}");
        }
        let longer = [good.as_slice(), b"x"].concat();
        assert!(read(longer, &digest, 7).is_err());
        // Whole, and about something else, or in another form.
        assert_eq!(
            read(good.clone(), &Sha256::digest(b"other"), 7),
            Err("it is about another component")
        );
        assert_eq!(
            read(good.clone(), &digest, 8),
            Err("it is for another engine")
        );
        for (place, expected) in [
            (0, "it is not in the form of an answer"),
            (16, "its outcome is unknown"),
            (57, "its length is not what it says"),
        ] {
            let mut other = good[..good.len() - SUM].to_vec();
            other[place] = 9;
            let sum = Sha256::digest(&other);
            other.extend_from_slice(&sum);
            assert_eq!(read(other, &digest, 7), Err(expected));
        }
    }
}
