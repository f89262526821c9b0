//! Fixers and inspectors recorded, and replayed both ways round.

use crate::disks::{Disk, Plain};
use crate::doubles::{
    Double, Guest, Run, at, call, facts, files, filters, fixer, fixer_guest, returned,
};
use cofferdam_contract::failure::{CallError, Callee, Limit};
use cofferdam_contract::kinds::{Call, Fixer, FixerGuest, Inspector};
use cofferdam_contract::services::{Findings, Trees};
use cofferdam_contract::types::{Error, ErrorCode, Level};
use cofferdam_filters::{Divergence, Recording, Subject, Verdict, replay};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const FSTAB: &str = "/dev/sda1 / ext4 defaults 0 1\n";

/// Gives `/dev/sda1` another name, and looks at some more.
async fn rename(call: Call, guest: FixerGuest, to: &str) -> Result<(), CallError> {
    let failed = |error: Error| returned("fix", error);
    call.context.log("p", Level::Info, "looking", &[]);
    let read = guest.view.read_at("/etc/fstab", 0, 4096).await;
    let text = String::from_utf8(read.map_err(failed)?).unwrap();
    guest.view.get_xattr("/etc/fstab", "user.a").await.ok();
    guest.view.read_link("/etc/fstab").await.unwrap_err();
    if !text.contains("/dev/sda1") {
        return Ok(());
    }
    let text = text.replace("/dev/sda1", to);
    let edit = guest
        .edits
        .write("/etc/fstab", text.into_bytes(), "stable name");
    edit.await.map_err(failed)
}

fn renaming(digest: &str, to: &'static str) -> Arc<dyn Fixer> {
    fixer(digest, move |call, guest| rename(call, guest, to))
}

/// Records calls of a fixer over a guest with this fstab, and returns the recordings' paths.
async fn record(folder: &Path, plugin: Arc<dyn Fixer>, times: usize) -> Vec<std::path::PathBuf> {
    let plugin = filters(&at("record", "folder", folder))
        .wrap_fixer(plugin)
        .unwrap();
    let guest = Guest::of(&[("/etc/fstab", FSTAB)]);
    for _ in 0..times {
        let run = Arc::new(Run::default());
        plugin.fix(call(&run), fixer_guest(&guest)).await.ok();
        assert!(!run.messages().iter().any(|it| it.contains("not recorded")));
    }
    files(folder)
}

async fn verdict(file: &Path, plugin: Arc<dyn Fixer>) -> Verdict {
    let recording = Recording::read(file).unwrap();
    replay(&recording, &Subject::Fixer(plugin)).await.unwrap()
}

fn diverged(verdict: Verdict) -> Divergence {
    match verdict {
        Verdict::Diverged(divergence) => *divergence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_recorded_call_is_the_same_again_without_its_guest() {
    let folder = tempfile::tempdir().unwrap();
    let files = record(folder.path(), renaming("d", "UUID=1"), 2).await;
    assert_eq!(files.len(), 2);
    for (file, exchanges) in files.iter().zip([4, 3]) {
        let again = verdict(file, renaming("other", "UUID=1")).await;
        let whole = true;
        assert_eq!(again, Verdict::Identical { exchanges, whole });
    }
    let recording = Recording::read(&files[0]).unwrap();
    assert_eq!(recording.plugin().digest, "d");
    assert_eq!((recording.function(), recording.run()), ("fix", "run-1"));
    // The content is there once and readable.
    let text = std::fs::read_to_string(&files[0]).unwrap();
    assert_eq!(text.matches("/dev/sda1 / ext4").count(), 1, "{text}");
    assert!(text.contains("\"message\":\"looking\""), "{text}");
}

#[tokio::test]
async fn another_behaviour_is_named_by_its_first_difference() {
    let folder = tempfile::tempdir().unwrap();
    let files = record(folder.path(), renaming("d", "UUID=1"), 1).await;
    let file = &files[0];

    let other = diverged(verdict(file, renaming("e", "UUID=2")).await);
    assert_eq!((other.after, other.function.as_str()), (3, "edits.write"));
    assert_eq!(other.arguments["path"], "/etc/fstab");
    assert!(
        other.place.contains("line 1: \"UUID=1 / ext4"),
        "{}",
        other.place
    );
    assert!(
        other.place.contains("and \"UUID=2 / ext4"),
        "{}",
        other.place
    );

    let lazy = diverged(verdict(file, fixer("e", |_, _| async { Ok(()) })).await);
    assert_eq!((lazy.after, lazy.function.as_str()), (0, "fix"));
    assert_eq!(lazy.expected["function"], "view.read-at");
    assert_eq!(lazy.expected["arguments"]["path"], "/etc/fstab");
    assert_eq!(lazy.got["end"]["returned"], "nothing");

    let busy = fixer("e", |call, guest: FixerGuest| async move {
        rename(call, guest.clone(), "UUID=1").await?;
        let note = guest.edits.write("/etc/motd", Vec::new(), "more").await;
        note.map_err(|error| returned("fix", error))
    });
    let busy = diverged(verdict(file, busy).await);
    assert_eq!((busy.after, busy.function.as_str()), (4, "edits.write"));
    assert_eq!(busy.got["arguments"]["path"], "/etc/motd");
    assert!(busy.expected["end"].is_string());

    let failing = fixer("e", |call, guest| async move {
        rename(call, guest, "UUID=1").await?;
        Err(returned("fix", Error::invalid("no")))
    });
    let failing = diverged(verdict(file, failing).await);
    assert_eq!((failing.after, failing.function.as_str()), (4, "fix"));
    assert_eq!(failing.got["end"]["error"]["code"], "Invalid");
    assert!(failing.to_string().contains("after 4 uses"), "{failing}");
}

#[tokio::test]
async fn how_a_call_failed_is_recorded_and_compared_as_far_as_the_plugin_decides_it() {
    let callee = || Callee {
        plugin: "p".to_owned(),
        call: "fix".to_owned(),
    };
    let limit = |limit| CallError::Limit {
        callee: callee(),
        limit,
        allowed: "some".to_owned(),
    };
    let trapped = |reason: &str| CallError::Trapped {
        callee: callee(),
        reason: reason.to_owned(),
    };
    let ending = |error: CallError| {
        fixer("d", move |call, guest| {
            let error = error.clone();
            async move {
                rename(call, guest, "UUID=1").await?;
                Err(error)
            }
        })
    };
    let same = |whole| Some(whole);
    for (recorded, now, expected) in [
        (trapped("at 1"), trapped("at 2"), same(true)),
        (trapped("at 1"), limit(Limit::Memory), None),
        (limit(Limit::Memory), limit(Limit::Memory), same(true)),
        (limit(Limit::Memory), limit(Limit::Stack), None),
        (limit(Limit::WallClock), limit(Limit::Cpu), same(false)),
        (limit(Limit::Cpu), trapped("at 1"), same(false)),
        (
            CallError::Cancelled { callee: callee() },
            trapped(""),
            same(false),
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let files = record(folder.path(), ending(recorded.clone()), 1).await;
        match (verdict(&files[0], ending(now.clone())).await, expected) {
            (Verdict::Identical { exchanges, whole }, Some(expected)) => {
                assert_eq!((exchanges, whole), (4, expected), "{recorded} {now}");
            }
            (Verdict::Diverged(found), None) => assert_eq!(found.function, "fix"),
            (verdict, _) => panic!("{recorded}, {now}: {verdict:?}"),
        }
    }
}

#[tokio::test]
async fn a_call_that_nobody_waited_for_has_a_recording_as_far_as_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let hanging = fixer("d", |_, guest: FixerGuest| async move {
        guest.view.read_at("/etc/fstab", 0, 9).await.ok();
        std::future::pending().await
    });
    let plugin = filters(&at("record", "folder", folder.path()))
        .wrap_fixer(hanging)
        .unwrap();
    let guest = Guest::of(&[("/etc/fstab", FSTAB)]);
    let run = Arc::new(Run::default());
    let fixing = plugin.fix(call(&run), fixer_guest(&guest));
    tokio::time::timeout(Duration::from_millis(1), fixing)
        .await
        .unwrap_err();
    let files = files(folder.path());
    let again = fixer("d", |_, guest: FixerGuest| async move {
        guest.view.read_at("/etc/fstab", 0, 9).await.unwrap();
        // The recording ends here, and tells the plugin so.
        let error = guest.view.read_at("/more", 0, 9).await.unwrap_err();
        Err(returned("fix", error))
    });
    let (exchanges, whole) = (1, false);
    assert_eq!(
        verdict(&files[0], again).await,
        Verdict::Identical { exchanges, whole }
    );
    let other = fixer("d", |_, guest: FixerGuest| async move {
        guest.view.read_at("/etc/fstab", 1, 9).await.ok();
        Ok(())
    });
    let other = diverged(verdict(&files[0], other).await);
    assert!(other.place.contains("/arguments/offset"), "{}", other.place);
}

#[tokio::test]
async fn only_failures_are_kept_where_that_is_asked_for_and_no_more_than_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let text = at("record", "folder", folder.path());
    let failing = || {
        fixer("d", |_, _| async {
            Err(returned("fix", Error::invalid("x")))
        })
    };
    let fine = || fixer("d", |_, _| async { Ok(()) });
    let guest = Guest::of(&[]);
    let some = filters(&format!("{text}keep = \"failed\"\nat-most = 2\n"));
    let run = Arc::new(Run::default());
    for plugin in [fine(), failing(), failing(), failing(), failing()] {
        let plugin = some.wrap_fixer(plugin).unwrap();
        plugin.fix(call(&run), fixer_guest(&guest)).await.ok();
    }
    assert_eq!(files(folder.path()).len(), 2);
    let warned = run.messages();
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains("`at-most` is 2"), "{warned:?}");
}

#[tokio::test]
async fn a_call_goes_on_where_it_cannot_be_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let plugin = filters(&at("record", "folder", &file.join("below")))
        .wrap_fixer(renaming("d", "UUID=1"))
        .unwrap();
    let guest = Guest::of(&[("/etc/fstab", FSTAB)]);
    let run = Arc::new(Run::default());
    plugin.fix(call(&run), fixer_guest(&guest)).await.unwrap();
    assert!(guest.text("/etc/fstab").starts_with("UUID=1"));
    assert!(run.messages()[0].contains("is not recorded"));
}

/// A fixer that must not be called.
fn never(digest: &str) -> Arc<dyn Fixer> {
    fixer(digest, |_, _| async { panic!("the plugin was called") })
}

#[tokio::test]
async fn recordings_answer_in_the_place_of_the_plugin() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), renaming("d", "UUID=1"), 2).await;
    let plugin = filters(&at("replay", "from", folder.path()))
        .wrap_fixer(never("d"))
        .unwrap();
    let guest = Guest::of(&[("/etc/fstab", FSTAB)]);
    // The second call finds what the first one left, and gets the second recording.
    for _ in 0..3 {
        let run = Arc::new(Run::default());
        plugin.fix(call(&run), fixer_guest(&guest)).await.unwrap();
        assert!(guest.text("/etc/fstab").starts_with("UUID=1 /"));
    }
}

#[tokio::test]
async fn a_guest_that_is_another_is_told_apart_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), renaming("d", "UUID=1"), 2).await;
    let text = at("replay", "from", folder.path());
    let with = |digest: &str| filters(&text).wrap_fixer(never(digest)).unwrap();
    let refused = |plugin: Arc<dyn Fixer>, call: Call, guest: FixerGuest| async move {
        let error = plugin.fix(call, guest).await.unwrap_err();
        assert!(matches!(error, CallError::Host { .. }), "{error:?}");
        error.to_string()
    };
    let run = Arc::new(Run::default());

    let other = Guest::of(&[("/etc/fstab", "/dev/sda1 / xfs defaults 0 1\n")]);
    let message = refused(with("d"), call(&run), fixer_guest(&other)).await;
    for words in ["view.read-at", "/etc/fstab", "line 1", "ext4", "xfs"] {
        assert!(message.contains(words), "{words} in {message}");
    }
    assert!(other.text("/etc/fstab").starts_with("/dev/sda1"));

    let same = Guest::of(&[("/etc/fstab", FSTAB)]);
    let message = refused(with("e"), call(&run), fixer_guest(&same)).await;
    assert!(message.contains("digest"), "{message}");
    let mut set = call(&run);
    set.settings = "{\"mode\":\"noop\"}".to_owned();
    let message = refused(with("d"), set, fixer_guest(&same)).await;
    assert!(
        message.contains("at /mode: \"all\" and \"noop\""),
        "{message}"
    );
    let mut moved = fixer_guest(&same);
    moved.facts = Arc::new(facts("uefi"));
    let message = refused(with("d"), call(&run), moved).await;
    assert!(
        message.contains("/fix/facts/firmware: \"bios\" and \"uefi\""),
        "{message}"
    );
    assert_eq!(same.text("/etc/fstab"), FSTAB);
}

#[tokio::test]
async fn a_recorded_failure_is_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let failing = fixer("d", |_, _| async {
        let error = Error::new(ErrorCode::Locked, "encrypted");
        Err(returned("fix", error))
    });
    record(folder.path(), failing, 1).await;
    let plugin = filters(&at("replay", "from", folder.path()))
        .wrap_fixer(never("d"))
        .unwrap();
    let run = Arc::new(Run::default());
    let result = plugin.fix(call(&run), fixer_guest(&Guest::of(&[]))).await;
    assert_eq!(result.unwrap_err().code(), ErrorCode::Locked);
}

#[tokio::test]
async fn inspectors_are_recorded_and_replayed_too() {
    let folder = tempfile::tempdir().unwrap();
    let inspector = || Arc::new(Plain(Double::new("d"))) as Arc<dyn Inspector>;
    let disk = |text: &str| {
        Arc::new(Disk {
            os_release: text.to_owned(),
            facts: Mutex::default(),
        })
    };
    let inspect = |plugin: Arc<dyn Inspector>, disk: Arc<Disk>| async move {
        let run = Arc::new(Run::default());
        let trees = Arc::clone(&disk) as Arc<dyn Trees>;
        plugin
            .inspect(call(&run), trees, disk as Arc<dyn Findings>)
            .await
    };
    let recorder = filters(&at("record", "folder", folder.path()));
    let plugin = recorder.wrap_inspector(inspector()).unwrap();
    inspect(plugin, disk("debian")).await.unwrap();

    let recording = Recording::read(&files(folder.path())[0]).unwrap();
    let again = replay(&recording, &Subject::Inspector(inspector())).await;
    let (exchanges, whole) = (2, true);
    assert_eq!(again.unwrap(), Verdict::Identical { exchanges, whole });

    let player = filters(&at("replay", "from", folder.path()));
    let plugin = player.wrap_inspector(inspector()).unwrap();
    let same = disk("debian");
    inspect(Arc::clone(&plugin), Arc::clone(&same))
        .await
        .unwrap();
    assert_eq!(same.facts.lock().unwrap()[0].1, "debian");
    let other = inspect(plugin, disk("fedora")).await.unwrap_err();
    assert!(other.to_string().contains("trees.read-at"), "{other}");
}

#[tokio::test]
async fn a_recording_is_replayed_with_its_own_plugin_only() {
    let folder = tempfile::tempdir().unwrap();
    let files = record(folder.path(), renaming("d", "UUID=1"), 1).await;
    let recording = Recording::read(&files[0]).unwrap();
    let inspector: Arc<dyn Inspector> = Arc::new(Plain(Double::new("d")));
    let error = replay(&recording, &Subject::Inspector(inspector)).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("of p (fixer)"), "{error}");
}
