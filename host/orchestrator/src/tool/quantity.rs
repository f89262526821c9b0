//! Sizes and lengths of time as an operator writes them: `16MiB`, `15m`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::time::Duration;

/// Units of [`Size`], the largest first.
const UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// A number of bytes with its unit: `512B`, `64KiB`, `16MiB`, `2GiB`, `1TiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = |unit: u64| self.0 >= unit && self.0.is_multiple_of(unit);
        match UNITS.iter().find(|(_, unit)| whole(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a size; write a whole number and a unit: 512B, 64KiB, 16MiB, 2GiB or 1TiB"
            )
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let (_, factor) = UNITS
            .iter()
            .find(|(name, _)| *name == unit.trim_start())
            .ok_or_else(wrong)?;
        number.checked_mul(*factor).map(Self).ok_or_else(wrong)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A number of bytes with its unit.",
            "pattern": "^[0-9]+ *(B|KiB|MiB|GiB|TiB)$",
            "examples": ["64KiB", "16MiB", "2GiB"]
        })
    }
}

/// How long a program may run: a number and a unit, at most [`TimeLimit::LONGEST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimit(pub Duration);

impl TimeLimit {
    /// The longest that a program can be allowed to run: a request (`wit/tool`) cannot ask
    /// for more.
    pub const LONGEST: Duration = Duration::from_secs(3_600);
}

impl Serialize for TimeLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

impl<'de> Deserialize<'de> for TimeLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let limit = humantime::parse_duration(&text).map_err(|error| {
            serde::de::Error::custom(format!(
                "`{text}` is not a length of time ({error}); write a number and a unit, such as 30s or 15m"
            ))
        })?;
        if limit.is_zero() || limit > Self::LONGEST {
            return Err(serde::de::Error::custom(format!(
                "`{text}` cannot be a time limit; write more than nothing and at most 1h"
            )));
        }
        Ok(Self(limit))
    }
}

impl JsonSchema for TimeLimit {
    fn schema_name() -> Cow<'static, str> {
        "TimeLimit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A length of time with its unit, at most an hour.",
            "pattern": "^([0-9]+ *[a-zA-Z]+ *)+$",
            "examples": ["30s", "15m", "1h"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sizes() {
        let cases = [
            ("0B", Some(0)),
            ("512B", Some(512)),
            ("64KiB", Some(64 << 10)),
            ("16 MiB", Some(16 << 20)),
            ("2GiB", Some(2 << 30)),
            ("1TiB", Some(1 << 40)),
            ("16MB", None),
            ("16", None),
            ("MiB", None),
            ("-1B", None),
            ("1.5GiB", None),
            ("", None),
            ("é", None),
            ("99999999999999999999B", None),
            ("99999999999TiB", None),
        ];
        for (text, expected) in cases {
            let read: Result<Size, _> = serde_json::from_value(json!(text));
            assert_eq!(read.ok(), expected.map(Size), "{text}");
        }
    }

    #[test]
    fn sizes_read_back() {
        for bytes in [
            0,
            1,
            1023,
            1024,
            1536,
            3 << 20,
            5 << 30,
            (1 << 40) + 1,
            u64::MAX,
        ] {
            assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }
        assert_eq!(Size(16 << 20).to_string(), "16MiB");
    }

    #[test]
    fn time_limits_have_units_and_an_end() {
        let cases = [
            ("250ms", Ok(250)),
            ("15m", Ok(900_000)),
            ("1h", Ok(3_600_000)),
            ("61m", Err("at most 1h")),
            ("0s", Err("more than nothing")),
            ("10", Err("a number and a unit")),
        ];
        for (text, expected) in cases {
            let read: Result<TimeLimit, _> = serde_json::from_value(json!(text));
            match (read, expected) {
                (Ok(limit), Ok(ms)) => assert_eq!(limit.0.as_millis(), ms, "{text}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (read, _) => panic!("{text}: {read:?}"),
            }
        }
    }
}
