//! The schema's versions, and how a file of an earlier one becomes one of the newest.
//!
//! `PRAGMA user_version` says which version a file has, `PRAGMA application_id` that it
//! is Cofferdam's. All steps to the newest version are one transaction: a file is of the
//! old version or of the new one, never between.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::StoreError;
use crate::error::{Failure, Within};

/// `CFDM`, which `file` and others read from the database's header.
/// Source: <https://www.sqlite.org/pragma.html#pragma_application_id>.
const APPLICATION_ID: i64 = 0x4346_444d;

/// The statements that lead from each version to the next; the first from an empty file.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001_runs.sql"),
    include_str!("schema/0002_identity.sql"),
    include_str!("schema/0003_plugins.sql"),
    include_str!("schema/0004_answers.sql"),
];

/// The newest schema.
pub(crate) fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// The schema of the file behind `connection`; 0 for an empty one.
pub(crate) fn version(connection: &Connection) -> Within<i64> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Whether the file behind `connection` is Cofferdam's, or empty.
fn check_owner(connection: &Connection) -> Within<()> {
    let id: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if id == APPLICATION_ID {
        return Ok(());
    }
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if id == 0 && tables == 0 && version(connection)? == 0 {
        return Ok(());
    }
    Err(Failure::Malformed(
        "it is an SQLite database, but not one of Cofferdam's".to_owned(),
    ))
}

/// Refuses a file that is not Cofferdam's or of a newer schema; says its schema.
pub(crate) fn check(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    check_known(connection, newest(), path)
}

fn check_known(connection: &Connection, known: i64, path: &Path) -> Result<i64, StoreError> {
    check_owner(connection).map_err(|failure| failure.at(path))?;
    let found = version(connection).map_err(|failure| failure.at(path))?;
    if found > known {
        return Err(StoreError::NewerSchema {
            path: path.to_owned(),
            found,
            known,
        });
    }
    Ok(found)
}

/// Brings the file behind `connection` to the newest schema; says which it had.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<i64, StoreError> {
    apply(connection, MIGRATIONS, path)
}

fn apply(connection: &mut Connection, migrations: &[&str], path: &Path) -> Result<i64, StoreError> {
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    let found = check_known(connection, known, path)?;
    if found == known {
        return Ok(found);
    }
    let changed = (|| -> Within<i64> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have been faster.
        let found = version(&transaction)?;
        let done = usize::try_from(found).unwrap_or(usize::MAX);
        for statements in migrations.iter().skip(done) {
            transaction.execute_batch(statements)?;
        }
        if found < known {
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", known)?;
        }
        transaction.commit()?;
        Ok(found)
    })();
    changed.map_err(|failure| failure.at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "test.db";

    fn tables(connection: &Connection) -> Vec<String> {
        connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    #[test]
    fn every_step_is_applied_once_and_in_order() {
        let migrations = [
            "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);",
            "ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x + 1;",
            "CREATE TABLE b AS SELECT y AS z FROM a;",
        ];
        for begin in 0..=migrations.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            if begin > 0 {
                apply(&mut connection, &migrations[..begin], Path::new(PATH)).unwrap();
            }
            let found = apply(&mut connection, &migrations, Path::new(PATH)).unwrap();
            assert_eq!(found, i64::try_from(begin).unwrap());
            assert_eq!(version(&connection).ok(), Some(3));
            let z: i64 = connection
                .query_row("SELECT z FROM b", [], |row| row.get(0))
                .unwrap();
            assert_eq!(z, 2);
        }
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, &["CREATE TABLE a (x)"], Path::new(PATH)).unwrap();
        let broken = [
            "CREATE TABLE a (x)",
            "CREATE TABLE b (x)",
            "CREATE TABLE a (x)",
        ];
        apply(&mut connection, &broken, Path::new(PATH)).unwrap_err();
        assert_eq!(version(&connection).ok(), Some(1));
        assert_eq!(tables(&connection), ["a"]);
    }

    #[test]
    fn a_newer_schema_and_a_strangers_file_are_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, MIGRATIONS, Path::new(PATH)).unwrap();
        connection
            .pragma_update(None, "user_version", newest() + 1)
            .unwrap();
        let refused = migrate(&mut connection, Path::new(PATH)).unwrap_err();
        assert!(matches!(
            refused,
            StoreError::NewerSchema { found, known, .. } if found == newest() + 1 && known == newest()
        ));

        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
        let refused = migrate(&mut connection, Path::new(PATH)).unwrap_err();
        assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused}");
        assert_eq!(tables(&connection), ["theirs"]);
    }
}
