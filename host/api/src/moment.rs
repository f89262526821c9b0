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

/// RFC 3339 section 5.6. A leap second counts as the second before it; what is before
/// 1970 counts as 1970, because nothing here is older.
fn parse(text: &str) -> Option<Time> {
    let (date, time) = text.split_at_checked(10)?;
    let mut date = date.split('-');
    let year = number(date.next()?, 4, 9999)?;
    let month = number(date.next()?, 2, 12)?;
    let day = number(date.next()?, 2, 31)?;
    let known =
        date.next().is_none() && month >= 1 && (1..=month_length(year, month)).contains(&day);
    let time = time.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = time.split_at_checked(8)?;
    let mut clock = clock.split(':');
    let hour = number(clock.next()?, 2, 23)?;
    let minute = number(clock.next()?, 2, 59)?;
    let second = number(clock.next()?, 2, 60)?.min(59);
    let (milliseconds, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (fraction, zone) = rest.split_at_checked(digits)?;
            let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
            (number(&thousandths, 3, 999).filter(|_| digits > 0)?, zone)
        }
        None => (0, rest),
    };
    let offset = match zone {
        "Z" | "z" => 0,
        zone => minutes(zone)?,
    };
    let minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute - offset;
    let total = (minutes * 60 + second) * 1000 + milliseconds;
    (known && clock.next().is_none()).then_some(Time(total.max(0)))
}

/// A number of exactly `digits` digits, at most `most`.
fn number(text: &str, digits: usize, most: i64) -> Option<i64> {
    let fine = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok()?;
    (fine && number <= most).then_some(number)
}

/// `+hh:mm` in minutes.
fn minutes(offset: &str) -> Option<i64> {
    let (sign, rest) = match offset.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    Some(sign * (number(hours, 2, 23)? * 60 + number(minutes, 2, 59)?))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar; negative before.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Leap days before the year, counted from the year 0.
    let leaps = |year: i64| (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
    let years = (year - 1970) * 365 + leaps(year) - leaps(1970);
    let months: i64 = (1..month).map(|month| month_length(year, month)).sum();
    years + months + day - 1
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
            ("2026-03-01T12:00:00Z", 29 * 86_400_000),
            ("2024-02-29T12:00:00Z", -702 * 86_400_000),
        ] {
            let read = text.parse::<Moment>().unwrap().0;
            assert_eq!(read.0 - noon.0, milliseconds, "{text}");
        }
        for (text, milliseconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59Z", 0),
            ("0000-01-01T00:00:00+23:59", 0),
            ("2000-03-01T00:00:00Z", 951_868_800_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] {
            assert_eq!(text.parse::<Moment>().unwrap().0.0, milliseconds, "{text}");
        }
        for text in [
            "",
            "today",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-13-31T12:00:00Z",
            "2026-00-31T12:00:00Z",
            "2025-02-29T12:00:00Z",
            "1900-02-29T12:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:60:00Z",
            "2026-01-31T12:00:61Z",
            "+026-01-31T12:00:00Z",
            "2026-01-31T12:00:00ZZ",
            "2026-01-31T12:00:00+1:00",
            "2026-01-31T12:00:00+24:00",
            "2026-01-31T12:00:00.Z",
            "é2026-01-31T12:00:00+01:é0",
        ] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
