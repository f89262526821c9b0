//! Lengths of time as workflows write them.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A length of time: `500ms`, `90s`, `10m`, `1h30m`, or a number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan(pub Duration);

/// The units, largest first, in milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// What is written is no length of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotATimeSpan(String);

impl fmt::Display for NotATimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        write!(
            f,
            "{text:?} is no length of time; write it like 90s, 10m or 1h30m"
        )
    }
}

impl std::error::Error for NotATimeSpan {}

impl FromStr for TimeSpan {
    type Err = NotATimeSpan;

    fn from_str(text: &str) -> Result<Self, NotATimeSpan> {
        let wrong = || NotATimeSpan(text.to_owned());
        let mut rest = text;
        let mut total: u64 = 0;
        let mut units = UNITS.iter();
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let (number, after) = rest.split_at_checked(digits).ok_or_else(wrong)?;
            let letters = after.find(|c: char| c.is_ascii_digit());
            let (unit, after) = after
                .split_at_checked(letters.unwrap_or(after.len()))
                .ok_or_else(wrong)?;
            let (_, factor) = units.find(|(name, _)| *name == unit).ok_or_else(wrong)?;
            let number: u64 = number.parse().map_err(|_| wrong())?;
            let part = number.checked_mul(*factor).ok_or_else(wrong)?;
            total = total.checked_add(part).ok_or_else(wrong)?;
            rest = after;
        }
        if text.is_empty() {
            return Err(wrong());
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.as_millis();
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in UNITS {
            let factor = u128::from(factor);
            let (count, rest) = (left / factor, left % factor);
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
            left = rest;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a length of time like 90s, 10m or 1h30m")]
        enum Written {
            Seconds(u64),
            Text(String),
        }
        match Written::deserialize(from)? {
            Written::Seconds(seconds) => Ok(Self(Duration::from_secs(seconds))),
            Written::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("90s", 90_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("0s", 0),
        ] {
            let span = Duration::from_millis(milliseconds);
            assert_eq!(text.parse(), Ok(TimeSpan(span)), "{text}");
        }
        for bad in [
            "",
            "10",
            "m",
            "10x",
            "1m1h",
            "1s1s",
            "-1s",
            "1.5h",
            "1 s",
            "é",
            "99999999999999999999s",
            "9999999999999999h",
        ] {
            assert!(bad.parse::<TimeSpan>().is_err(), "{bad}");
        }
        let number: TimeSpan = serde_json::from_str("90").unwrap();
        assert_eq!(number.to_string(), "1m30s");
        let wrong = serde_json::from_str::<TimeSpan>("[]").unwrap_err();
        assert!(
            wrong.to_string().contains("a length of time like"),
            "{wrong}"
        );
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(milliseconds in 0_u64..1 << 40) {
            let span = TimeSpan(Duration::from_millis(milliseconds));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = text.parse::<TimeSpan>();
        }
    }
}
