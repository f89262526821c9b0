//! Moments in time.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::StoreError;

/// The last millisecond that RFC 3339 can write: the end of the year 9999.
const LAST: i64 = 253_402_300_799_999;

/// A moment, in milliseconds since 1970-01-01T00:00:00Z. Text and JSON have it as
/// RFC 3339 in UTC with milliseconds (`2026-01-31T12:00:00.000Z`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// The system clock's time.
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// `duration` later, at most the end of the year 9999.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(LAST);
        Self(self.0.saturating_add(milliseconds).min(LAST))
    }

    /// `duration` earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(LAST);
        Self(self.0.saturating_sub(milliseconds))
    }

    /// How long it is from `earlier` to this; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(LAST).min(LAST))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = u64::try_from(self.0.clamp(0, LAST)).unwrap_or(0);
        let time = UNIX_EPOCH + Duration::from_millis(milliseconds);
        write!(f, "{}", humantime::format_rfc3339_millis(time))
    }
}

impl FromStr for Time {
    type Err = StoreError;

    /// Reads RFC 3339 in UTC (`Z`), with or without a fraction of the second.
    fn from_str(text: &str) -> Result<Self, StoreError> {
        humantime::parse_rfc3339(text)
            .map(Self::from)
            .map_err(|error| StoreError::Invalid {
                what: "time".to_owned(),
                why: format!(
                    "`{text}` is not RFC 3339 in UTC such as 2026-01-31T12:00:00Z: {error}"
                ),
            })
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl ToSql for Time {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for Time {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Time {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::schema::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(
                utoipa::openapi::KnownFormat::DateTime,
            )))
            .description(Some("A moment in UTC, RFC 3339 with milliseconds"))
            .build()
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Time {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (LAST, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Time(milliseconds).to_string(), text);
            assert_eq!(text.parse::<Time>().unwrap(), Time(milliseconds));
            let json = serde_json::to_string(&Time(milliseconds)).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(
                serde_json::from_str::<Time>(&json).unwrap(),
                Time(milliseconds)
            );
        }
        assert_eq!(
            "2000-02-29T00:00:00Z".parse::<Time>().unwrap(),
            Time(951_782_400_000)
        );
    }

    #[test]
    fn what_is_out_of_range_never_panics() {
        assert_eq!(Time(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Time(-1).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Time(5).plus(Duration::MAX), Time(LAST));
        assert_eq!(Time(5).since(Time(9)), Duration::ZERO);
        for text in ["", "today", "2000-02-30T00:00:00Z", "2000-01-01T00:00:00"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }
}
