//! Tells a state that was lost from one that has not begun.
//!
//! **Problem.** SQLite makes a database where there is none and takes an empty file for a
//! new one. A host whose database was truncated, deleted or not mounted would begin anew
//! without a word, and its runs would be gone.
//!
//! **Design.** What hosts put beside their database comes after it: where a key of secrets,
//! folders of runs or operations, a log or a database that was replaced lies beside an
//! empty file or none, there was a database. A host that was killed while it made the file
//! has left nothing else, so the next one may begin.
//!
//! **Limits.** A state that had no runs, secrets or operations leaves no trace.

use std::path::Path;

use crate::StoreError;

/// What is made only where there is a database; folders count when something is in them.
const TRACES: [&str; 4] = ["secret.key", "runs", "operations", "components"];

/// Refuses to begin a database at `path` where there was one.
pub(crate) fn refuse_anew(path: &Path) -> Result<(), StoreError> {
    let Some(trace) = trace(path) else {
        return Ok(());
    };
    let found = if path.exists() {
        "it is empty"
    } else {
        "it is not there"
    };
    Err(StoreError::Corrupt {
        path: path.to_owned(),
        why: format!(
            "{found}, and `{trace}` beside it shows that there was one; to begin anew move the \
             whole folder away, otherwise bring the file back"
        ),
    })
}

/// The name of what shows that there was a database.
fn trace(path: &Path) -> Option<String> {
    let folder = path.parent()?;
    let traces = TRACES.iter().find(|name| {
        let path = folder.join(name);
        match std::fs::read_dir(&path) {
            Ok(mut entries) => entries.next().is_some(),
            Err(_) => path.is_file(),
        }
    });
    if let Some(name) = traces {
        return Some((*name).to_owned());
    }
    let file = path.file_name()?.to_string_lossy();
    let replaced = format!("{file}.replaced");
    std::fs::read_dir(if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    })
    .ok()?
    .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
    .find(|name| name.starts_with(&replaced))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Store;

    /// What is beside the database, and whether that shows that there was one.
    #[test]
    fn an_empty_or_missing_database_is_begun_only_where_there_was_none() {
        let cases: [(&str, bool, bool); 10] = [
            ("", false, false),
            ("host.lock", false, false),
            ("other.txt", false, false),
            ("runs", true, false),
            ("components", true, false),
            ("runs/r-1/x", false, true),
            ("operations/o-1/output.log", false, true),
            ("components/ab.wasm", false, true),
            ("secret.key", false, true),
            ("cofferdam.db.replaced-20260131T120000Z", false, true),
        ];
        // None, an empty one, and one that SQLite has only begun.
        for kind in 0..3 {
            for (beside, is_folder, lost) in cases {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("cofferdam.db");
                match kind {
                    0 => {}
                    1 => fs::write(&path, b"").unwrap(),
                    _ => rusqlite::Connection::open(&path)
                        .unwrap()
                        .execute_batch("PRAGMA journal_mode = WAL; VACUUM;")
                        .unwrap(),
                }
                let other = folder.path().join(beside);
                if is_folder {
                    fs::create_dir_all(&other).unwrap();
                } else if !beside.is_empty() {
                    fs::create_dir_all(other.parent().unwrap()).unwrap();
                    fs::write(&other, b"x").unwrap();
                }
                let opened = Store::open(&path);
                if !lost {
                    drop(opened.unwrap());
                    // It stays what it is, whatever comes beside it.
                    fs::write(folder.path().join("secret.key"), b"x").unwrap();
                    Store::open(&path).unwrap();
                    continue;
                }
                let refused = opened.unwrap_err();
                assert!(
                    matches!(refused, StoreError::Corrupt { .. }),
                    "{kind} {beside}: {refused}"
                );
                let text = refused.to_string();
                assert!(text.contains("backup") && text.contains("move"), "{text}");
                assert_eq!(path.exists(), kind != 0, "a refusal makes no file");
            }
        }
    }

    #[test]
    fn a_backup_takes_the_place_of_what_was_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cofferdam.db");
        let backup = folder.path().join("backup");
        let store = Store::open(&path).unwrap();
        store.backup(&backup).unwrap();
        drop(store);
        fs::create_dir_all(folder.path().join("runs/r-1")).unwrap();
        for empty in [true, false] {
            fs::remove_file(&path).unwrap();
            if empty {
                fs::write(&path, b"").unwrap();
            }
            Store::open(&path).unwrap_err();
            Store::restore(&backup, &path).unwrap();
            Store::open(&path).unwrap();
        }
    }
}
