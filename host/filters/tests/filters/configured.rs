//! What a configuration can say, and what it is told where it cannot.

use crate::disks::Plain;
use crate::doubles::{Double, at, filters, fixer, read, step};
use cofferdam_contract::kinds::{DiskSource, Filesystem};
use cofferdam_filters::FilterError;
use std::path::Path;
use std::sync::Arc;

#[test]
fn values_out_of_range_are_named() {
    for (text, expected) in [
        ("filter = \"error\"", "say which calls fail"),
        ("filter = \"error\"\nevery = 0", "`every` is 0"),
        (
            "filter = \"error\"\nevery = 2\nprobability = 0.5",
            "beside `probability`",
        ),
        (
            "filter = \"error\"\nprobability = 0.0",
            "`probability` is 0",
        ),
        (
            "filter = \"error\"\nprobability = 1.5",
            "above 0 and at most 1",
        ),
        (
            "filter = \"error\"\nprobability = nan",
            "`probability` is NaN",
        ),
        ("filter = \"rate\"\nper-second = 0.0", "`per-second` is 0"),
        ("filter = \"rate\"\nper-second = -1.0", "`per-second` is -1"),
        ("filter = \"rate\"\nper-second = inf", "`per-second` is inf"),
        (
            "filter = \"rate\"\nper-second = 1.0\nburst = 0",
            "`burst` is 0",
        ),
    ] {
        let error = read(&format!("[[filters]]\n{text}")).err().unwrap();
        let message = error.to_string();
        assert!(message.contains(expected), "{text}: {message}");
        assert!(message.contains("[[plugins.p.filters]]"), "{message}");
    }
}

#[test]
fn a_function_that_the_kind_does_not_have_is_named_with_those_it_has() {
    let filters = filters("[[filters]]\nfilter = \"log\"\nfunctions = [\"fix\", \"execute\"]");
    let error = filters
        .wrap_fixer(fixer("d", |_, _| async { Ok(()) }))
        .err()
        .unwrap();
    let message = error.to_string();
    assert!(
        message.contains("a fixer has no function `execute`; it has fix"),
        "{message}"
    );
}

#[test]
fn recordings_are_of_three_kinds_only() {
    let source: Arc<dyn DiskSource> = Arc::new(Plain(Double::new("d")));
    let filesystem: Arc<dyn Filesystem> = Arc::new(Plain(Double::new("d")));
    for text in [
        at("record", "folder", Path::new("r")),
        at("replay", "from", Path::new("r")),
    ] {
        let filters = filters(&text);
        for result in [
            filters.wrap_disk_source(Arc::clone(&source)).err(),
            filters.wrap_filesystem(Arc::clone(&filesystem)).err(),
        ] {
            assert!(matches!(result, Some(FilterError::NotForKind { .. })));
        }
    }
}

#[test]
fn a_replay_needs_a_recording_of_its_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let make = || step("d", |_, _, _| async { Ok(String::new()) });
    let from = |path: &Path| filters(&at("replay", "from", path)).wrap_step(make()).err();
    assert!(matches!(
        from(folder.path()),
        Some(FilterError::NothingRecorded { .. })
    ));
    assert!(matches!(
        from(&folder.path().join("missing")),
        Some(FilterError::Recording { .. })
    ));
}

#[test]
fn a_plugin_without_filters_is_left_as_it_is() {
    let plain = fixer("d", |_, _| async { Ok(()) });
    let same = read("filters = []").unwrap();
    assert_eq!(same.plugins().count(), 0);
    let some = filters("[[filters]]\nfilter = \"log\"\n[[filters]]\nfilter = \"delay\"");
    let listed: Vec<_> = some.plugins().collect();
    assert_eq!(listed, [("p", vec!["log", "delay"])]);
    let same = same.wrap_fixer(Arc::clone(&plain)).unwrap();
    assert!(Arc::ptr_eq(&plain, &same));
}
