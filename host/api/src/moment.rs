//! Times in queries: RFC 3339 with any offset, where the store writes UTC.

use cofferdam_store::Time;
use serde::{Deserialize, Deserializer, de};
use std::str::FromStr;

/// A moment as a client writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub Time);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).map(Self).ok_or_else(|| {
            format!("`{text}` is not a time of RFC 3339 such as 2026-01-31T12:00:00Z")
        })
    }
}

/// RFC 3339 section 5.6. A leap second counts as the second before it.
fn parse(text: &str) -> Option<Time> {
    let text = text.to_ascii_uppercase();
    let (local, offset) = match text.strip_suffix('Z') {
        Some(local) => (local, 0),
        None => {
            let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
            (local, minutes(offset)?)
        }
    };
    let (head, fraction) = match local.split_once('.') {
        Some((head, fraction)) if !fraction.is_empty() => {
            (head, fraction.get(..9).unwrap_or(fraction))
        }
        Some(_) => return None,
        None => (local, "0"),
    };
    let head = match head.strip_suffix(":60") {
        Some(minute) => format!("{minute}:59"),
        None => head.to_owned(),
    };
    let time: Time = format!("{}.{fraction}Z", head.replace(' ', "T"))
        .parse()
        .ok()?;
    Some(Time(time.0.checked_sub(offset * 60_000)?))
}

/// `+hh:mm` in minutes.
fn minutes(offset: &str) -> Option<i64> {
    let (sign, rest) = match offset.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |text: &str, most: i64| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number: i64 = text.parse().ok()?;
        (digits && number <= most).then_some(number)
    };
    Some(sign * (number(hours, 23)? * 60 + number(minutes, 59)?))
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_counted() {
        let noon = "2026-01-31T12:00:00Z".parse::<Moment>().unwrap().0;
        for (text, milliseconds) in [
            ("2026-01-31T12:00:00.000Z", 0),
            ("2026-01-31t12:00:00z", 0),
            ("2026-01-31T13:30:00+01:30", 0),
            ("2026-01-31T11:00:00-01:00", 0),
            ("2026-01-31T12:00:00.25+00:00", 250),
            ("2026-01-31T12:00:00.1234567891234Z", 123),
            ("2026-01-31T11:59:60Z", -1000),
        ] {
            let read = text.parse::<Moment>().unwrap().0;
            assert_eq!(read.0 - noon.0, milliseconds, "{text}");
        }
        for text in [
            "",
            "today",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-13-31T12:00:00Z",
            "2026-01-31T12:00:00+1:00",
            "2026-01-31T12:00:00+24:00",
            "2026-01-31T12:00:00.Z",
            "é2026-01-31T12:00:00+01:é0",
        ] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
