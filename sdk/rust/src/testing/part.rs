//! Bytes as a case says them: as text, or in hexadecimal.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Bytes at a place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Part {
    /// Where they begin; from the end where it is negative.
    pub at: i64,
    /// The bytes of this text.
    pub text: Option<String>,
    /// Then these, two hexadecimal digits a byte; spaces do not count.
    pub hex: Option<String>,
}

impl Part {
    /// The bytes.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = self.text.clone().unwrap_or_default().into_bytes();
        bytes.extend(unhex(self.hex.as_deref().unwrap_or_default())?);
        Ok(bytes)
    }

    /// Puts the bytes over `content`, which grows where they do not fit.
    pub fn apply(&self, content: &mut Vec<u8>) -> Result<()> {
        let bytes = self.bytes()?;
        let length = i64::try_from(content.len()).unwrap_or(i64::MAX);
        let at = if self.at < 0 {
            length + self.at
        } else {
            self.at
        };
        let outside = || Error::invalid(format!("a part is at {}, before the beginning", self.at));
        let at = usize::try_from(at).map_err(|_| outside())?;
        let end = at.saturating_add(bytes.len());
        if content.len() < end {
            content.resize(end, 0);
        }
        if let Some(place) = content.get_mut(at..end) {
            place.copy_from_slice(&bytes);
        }
        Ok(())
    }
}

/// The bytes of hexadecimal digits.
pub(super) fn unhex(digits: &str) -> Result<Vec<u8>> {
    let digits: Vec<char> = digits.chars().filter(|digit| *digit != ' ').collect();
    digits
        .chunks(2)
        .map(|pair| {
            let pair: String = pair.iter().collect();
            let both = pair.len() == 2 && pair.chars().all(|digit| digit.is_ascii_hexdigit());
            let byte = u8::from_str_radix(&pair, 16).ok().filter(|_| both);
            byte.ok_or_else(|| Error::invalid(format!("{pair:?} are no two hexadecimal digits")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(at: i64, text: &str, hex: &str) -> Part {
        Part {
            at,
            text: Some(text.to_owned()),
            hex: Some(hex.to_owned()),
        }
    }

    #[test]
    fn parts_lie_over_what_is_there() {
        let mut content = vec![0; 4];
        part(-2, "a", "ff").apply(&mut content).unwrap();
        part(5, "", "0 1 02").apply(&mut content).unwrap();
        assert_eq!(content, [0, 0, b'a', 0xff, 0, 1, 2]);
        assert!(part(-9, "a", "").apply(&mut content).is_err());
        for digits in ["0", "zz", "0g", "+1"] {
            assert!(unhex(digits).is_err(), "{digits}");
        }
    }
}
