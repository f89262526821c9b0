//! A length of time as people write it: `250ms`, `10s`, `1h 30m`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::time::Duration;

/// The longest period that a workflow may name: a year.
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A length of time with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub Duration);

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let period = humantime::parse_duration(&text).map_err(|error| {
            serde::de::Error::custom(format!(
                "`{text}` is not a length of time ({error}); write a number and a unit, such as 250ms, 10s or 1h 30m"
            ))
        })?;
        if period > LONGEST {
            return Err(serde::de::Error::custom(format!(
                "`{text}` is longer than a year; write less, or leave the key out for no limit"
            )));
        }
        Ok(Self(period))
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A length of time with its unit, at most a year: 250ms, 10s, 1h 30m.",
            "pattern": "^([0-9]+ *[a-zA-Z]+ *)+$",
            "examples": ["250ms", "10s", "1h 30m"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_have_units_and_an_end() {
        let cases = [
            ("250ms", Ok(250)),
            ("10s", Ok(10_000)),
            ("1h 30m", Ok(5_400_000)),
            ("10", Err("write a number and a unit")),
            ("soon", Err("write a number and a unit")),
            ("-1s", Err("write a number and a unit")),
            ("3years", Err("longer than a year")),
        ];
        for (text, expected) in cases {
            let read: Result<Period, _> = serde_json::from_value(serde_json::json!(text));
            match (read, expected) {
                (Ok(period), Ok(ms)) => assert_eq!(period.0.as_millis(), ms, "{text}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (read, _) => panic!("{text}: {read:?}"),
            }
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let period = Period(Duration::from_millis(90_250));
        let text = serde_json::to_string(&period).unwrap();
        assert_eq!(serde_json::from_str::<Period>(&text).unwrap(), period);
    }
}
