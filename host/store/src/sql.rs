//! What every statement needs: values as JSON text, rows as records.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Params, Row, ToSql};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Within;

/// A value that is stored as JSON text.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?)
            .map(Json)
            .map_err(FromSqlError::other)
    }
}

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        serde_json::to_string(&self.0)
            .map(ToSqlOutput::from)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
    }
}

/// The value of a column of JSON text.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    row.get::<_, Json<T>>(column).map(|value| value.0)
}

/// The value of a column of JSON text that may be NULL.
pub(crate) fn json_or_none<T: DeserializeOwned>(
    row: &Row<'_>,
    column: &str,
) -> rusqlite::Result<Option<T>> {
    Ok(row.get::<_, Option<Json<T>>>(column)?.map(|value| value.0))
}

/// The first row, if there is one.
pub(crate) fn first<T>(
    connection: &Connection,
    statement: &str,
    parameters: impl Params,
    record: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Within<Option<T>> {
    let mut prepared = connection.prepare_cached(statement)?;
    let mut rows = prepared.query(parameters)?;
    Ok(rows.next()?.map(record).transpose()?)
}

/// All rows.
pub(crate) fn all<T>(
    connection: &Connection,
    statement: &str,
    parameters: impl Params,
    record: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Within<Vec<T>> {
    let mut prepared = connection.prepare_cached(statement)?;
    let rows = prepared.query_map(parameters, record)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Changes rows; says how many.
pub(crate) fn change(
    connection: &Connection,
    statement: &str,
    parameters: impl Params,
) -> Within<usize> {
    Ok(connection.prepare_cached(statement)?.execute(parameters)?)
}

/// The first and the first not any more of the texts that begin with `prefix`, in the
/// order of their bytes.
pub(crate) fn prefix_range(prefix: &str) -> (String, String) {
    // No text of this crate's vocabulary goes beyond the last code point.
    (prefix.to_owned(), format!("{prefix}\u{10FFFF}"))
}
