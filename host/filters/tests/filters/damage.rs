//! Files that are no recordings any more, or never were.

use crate::doubles::{Guest, Run, at, call, files, filters, fixer, fixer_guest};
use cofferdam_contract::kinds::FixerGuest;
use cofferdam_filters::{FilterError, Recording, RecordingError};
use std::path::Path;
use std::sync::Arc;

/// A recording, as bytes.
async fn recorded(folder: &Path) -> Vec<u8> {
    let plugin = fixer("d", |_, guest: FixerGuest| async move {
        let read = guest.view.read_at("/etc/fstab", 0, 100).await.unwrap();
        guest.view.get_xattr("/etc/fstab", "user.a").await.unwrap();
        guest
            .edits
            .write("/etc/fstab", read, "again")
            .await
            .unwrap();
        Ok(())
    });
    let plugin = filters(&at("record", "folder", folder))
        .wrap_fixer(plugin)
        .unwrap();
    let guest = Guest::of(&[("/etc/fstab", "a line\n")]);
    let run = Arc::new(Run::default());
    plugin.fix(call(&run), fixer_guest(&guest)).await.unwrap();
    std::fs::read(&files(folder)[0]).unwrap()
}

fn read(folder: &Path, bytes: &[u8]) -> Result<Recording, RecordingError> {
    let file = folder.join("changed");
    std::fs::write(&file, bytes).unwrap();
    Recording::read(&file)
}

#[tokio::test]
async fn every_cut_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let whole = recorded(folder.path()).await;
    assert_eq!(read(folder.path(), &whole).unwrap().exchanges(), 3);
    let first_line = whole.iter().position(|byte| *byte == b'\n').unwrap();
    for length in 0..whole.len() {
        let error = read(folder.path(), &whole[..length]).unwrap_err();
        match error {
            RecordingError::Foreign { .. } => assert!(length <= first_line, "{length}"),
            RecordingError::Truncated { lines, .. } => {
                let left = whole[..length]
                    .iter()
                    .filter(|byte| **byte == b'\n')
                    .count();
                assert_eq!(lines, left as u64, "{length}");
            }
            other => panic!("{length}: {other}"),
        }
    }
}

#[tokio::test]
async fn every_changed_byte_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let whole = recorded(folder.path()).await;
    for place in 0..whole.len() {
        for change in [1, 0x80] {
            let mut bytes = whole.clone();
            bytes[place] ^= change;
            assert!(read(folder.path(), &bytes).is_err(), "{place} {change}");
        }
    }
    let mut more = whole.clone();
    more.extend_from_slice(b"{}\n");
    assert!(matches!(
        read(folder.path(), &more),
        Err(RecordingError::Damaged { .. })
    ));
}

#[tokio::test]
async fn what_is_something_else_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let whole = String::from_utf8(recorded(folder.path()).await).unwrap();
    for foreign in [
        &b""[..],
        b"\n",
        b"{}\n",
        b"\x7fELF\x02\x01",
        b"{\"cofferdam_plan\":1}\n",
        &[b'x'; 1 << 16],
    ] {
        let error = read(folder.path(), foreign).unwrap_err();
        assert!(matches!(error, RecordingError::Foreign { .. }), "{error}");
    }
    let newer = whole.replacen("\"cofferdam-recording\":1", "\"cofferdam-recording\":2", 1);
    let error = read(folder.path(), newer.as_bytes()).unwrap_err();
    assert!(
        matches!(error, RecordingError::Version { found: 2, .. }),
        "{error}"
    );
    assert!(matches!(
        Recording::read(Path::new("/dev/zero")),
        Err(RecordingError::Foreign { .. })
    ));
    assert!(matches!(
        Recording::read(&folder.path().join("missing")),
        Err(RecordingError::Io { .. })
    ));
    let huge = std::fs::File::create(folder.path().join("huge")).unwrap();
    huge.set_len(1 << 31).unwrap();
    assert!(matches!(
        Recording::read(&folder.path().join("huge")),
        Err(RecordingError::TooLarge { .. })
    ));
}

#[tokio::test]
async fn a_replay_over_a_damaged_recording_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path()).await;
    let file = &files(folder.path())[0];
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() - 9]).unwrap();
    let replay = filters(&at("replay", "from", folder.path()));
    let error = replay.wrap_fixer(fixer("d", |_, _| async { Ok(()) }));
    match error.err().unwrap() {
        FilterError::Recording {
            error: RecordingError::Truncated { .. },
            ..
        } => {}
        other => panic!("{other}"),
    }
}
