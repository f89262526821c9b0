//! Every edit, seen at once in the view.

use crate::common::{Bench, JsonTrees, State, attributes, guest, once};
use crate::resolve::planned;
use cofferdam_contract::services::{Edits, View};
use cofferdam_contract::types::{Error, ErrorCode};
use cofferdam_orchestrator::guest::change::summarize;
use cofferdam_orchestrator::guest::view::FixerView;
use cofferdam_orchestrator::migration::{Output, apply, run};
use proptest::prelude::*;
use std::sync::Arc;

async fn text(view: &FixerView, path: &str) -> String {
    String::from_utf8(view.read_at(path, 0, 4096).await.unwrap()).unwrap()
}

fn code<T: std::fmt::Debug>(answer: Result<T, Error>) -> ErrorCode {
    answer.unwrap_err().code
}

#[tokio::test]
async fn edits_show_at_once_and_under_every_name() {
    let (planned, guest) = planned().await;
    guest
        .append("/etc/absolute", b"three\n".to_vec(), "r")
        .await
        .unwrap();
    assert_eq!(text(&guest, "/etc/fstab.twin").await, "one\ntwo\nthree\n");
    guest
        .patch("/etc/fstab.twin", 0, b"ONE".to_vec(), "r")
        .await
        .unwrap();
    assert_eq!(text(&guest, "/etc/fstab").await, "ONE\ntwo\nthree\n");
    guest.link("/etc/fstab", "/etc/third", "r").await.unwrap();
    assert_eq!(guest.stat("/etc/fstab.twin", false).await.unwrap().links, 3);
    guest.remove("/etc/fstab", "r").await.unwrap();
    assert_eq!(
        code(guest.stat("/etc/fstab", false).await),
        ErrorCode::NotFound
    );
    assert_eq!(text(&guest, "/etc/third").await, "ONE\ntwo\nthree\n");
    guest.copy("/etc/other", "/boot/copy", "r").await.unwrap();
    assert_eq!(text(&guest, "/boot/copy").await, "other");
    assert_eq!(
        guest.get_xattr("/boot/copy", "user.note").await.unwrap(),
        b"kept"
    );
    guest
        .set_xattr("/etc/other", "user.note", None, "r")
        .await
        .unwrap();
    assert_eq!(
        code(guest.get_xattr("/etc/other", "user.note").await),
        ErrorCode::NotFound
    );
    guest.rename("/etc", "/settings", "r").await.unwrap();
    assert_eq!(text(&guest, "/settings/other").await, "other");
    assert_eq!(
        code(guest.stat("/etc/other", false).await),
        ErrorCode::NotFound
    );
    guest
        .symlink("/etc", "settings", attributes(0o777), "r")
        .await
        .unwrap();
    assert_eq!(text(&guest, "/etc/other").await, "other");
    guest
        .make_directory("/new", attributes(0o700), "r")
        .await
        .unwrap();
    guest
        .create("/new/file", b"x".to_vec(), attributes(0o600), "r")
        .await
        .unwrap();
    guest.set_mode("/new/file", 0o4755, "r").await.unwrap();
    guest.set_owner("/new/file", 5, 6, "r").await.unwrap();
    let metadata = guest.stat("/new/file", false).await.unwrap();
    assert_eq!(
        (metadata.mode, metadata.owner, metadata.group),
        (0o4755, 5, 6)
    );
    let names: Vec<String> = guest
        .list_directory("/", "", 100)
        .await
        .unwrap()
        .entries
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names, ["boot", "conf", "etc", "new", "os", "settings"]);
    assert_eq!(planned.edits.lock().await.len(), 12);
}

#[tokio::test]
async fn what_is_so_already_records_nothing() {
    let (planned, guest) = planned().await;
    guest.write("/os", b"test".to_vec(), "r").await.unwrap();
    guest.append("/os", Vec::new(), "r").await.unwrap();
    guest.patch("/os", 1, b"es".to_vec(), "r").await.unwrap();
    guest.set_mode("/os", 0o644, "r").await.unwrap();
    guest.set_owner("/os", 0, 0, "r").await.unwrap();
    guest
        .set_xattr("/os", "user.none", None, "r")
        .await
        .unwrap();
    guest.rename("/os", "/os", "r").await.unwrap();
    assert!(planned.edits.lock().await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_records_nothing() {
    let (planned, g) = planned().await;
    let new = || attributes(0o644);
    let huge = vec![0; (16 << 20) + 1];
    let long = format!("/{}", "n".repeat(256));
    let cases = [
        (
            "exists",
            g.create("/os", vec![], new(), "r").await,
            ErrorCode::Exists,
        ),
        (
            "dangling link",
            g.create("/etc/dangling", vec![], new(), "r").await,
            ErrorCode::Exists,
        ),
        (
            "no parent",
            g.create("/no/x", vec![], new(), "r").await,
            ErrorCode::NotFound,
        ),
        (
            "mode",
            g.create("/x", vec![], attributes(0o10000), "r").await,
            ErrorCode::Invalid,
        ),
        (
            "set mode",
            g.set_mode("/os", 0o10000, "r").await,
            ErrorCode::Invalid,
        ),
        (
            "name",
            g.create(&long, vec![], new(), "r").await,
            ErrorCode::Invalid,
        ),
        (
            "escaped slash",
            g.create("/a\\x2fb", vec![], new(), "r").await,
            ErrorCode::Invalid,
        ),
        (
            "bad escape",
            g.create("/a\\q", vec![], new(), "r").await,
            ErrorCode::Invalid,
        ),
        (
            "not empty",
            g.remove("/etc", "r").await,
            ErrorCode::Conflict,
        ),
        (
            "mount point",
            g.remove("/boot", "r").await,
            ErrorCode::Invalid,
        ),
        (
            "mount moved",
            g.rename("/boot", "/b", "r").await,
            ErrorCode::Invalid,
        ),
        ("root", g.remove("/", "r").await, ErrorCode::Invalid),
        (
            "across",
            g.rename("/os", "/boot/os", "r").await,
            ErrorCode::Invalid,
        ),
        (
            "link across",
            g.link("/os", "/boot/os", "r").await,
            ErrorCode::Invalid,
        ),
        (
            "into itself",
            g.rename("/etc", "/etc/sub", "r").await,
            ErrorCode::Invalid,
        ),
        (
            "onto directory",
            g.rename("/os", "/etc", "r").await,
            ErrorCode::Exists,
        ),
        (
            "link to directory",
            g.link("/etc", "/e", "r").await,
            ErrorCode::Invalid,
        ),
        (
            "beyond",
            g.patch("/os", 3, b"ab".to_vec(), "r").await,
            ErrorCode::Invalid,
        ),
        (
            "wraps",
            g.patch("/os", u64::MAX, b"ab".to_vec(), "r").await,
            ErrorCode::Invalid,
        ),
        ("16 MiB", g.write("/os", huge, "r").await, ErrorCode::Limit),
        (
            "directory",
            g.write("/etc", vec![], "r").await,
            ErrorCode::Invalid,
        ),
        (
            "xattr",
            g.set_xattr("/os", "plain", None, "r").await,
            ErrorCode::Invalid,
        ),
        (
            "link mode",
            g.set_mode("/conf", 0o600, "r").await,
            ErrorCode::Invalid,
        ),
        (
            "target",
            g.symlink("/s", "", new(), "r").await,
            ErrorCode::Invalid,
        ),
    ];
    for (what, answer, expected) in cases {
        assert_eq!(code(answer), expected, "{what}");
    }
    assert!(planned.edits.lock().await.is_empty());
    g.create(&format!("/{}", "\\\\".repeat(255)), vec![], new(), "r")
        .await
        .unwrap();
}

#[tokio::test]
async fn an_edit_beyond_the_plan_s_room_does_not_show() {
    let (planned, g) = planned().await;
    let chunk = vec![7; 16 << 20];
    for _ in 0..64 {
        // Beyond the file, so that nothing is kept: what is handed over counts.
        let answer = g.patch("/os", 1, chunk.clone(), "r").await;
        assert_eq!(code(answer), ErrorCode::Invalid);
    }
    assert_eq!(code(g.append("/os", vec![1], "r").await), ErrorCode::Limit);
    assert_eq!(text(&g, "/os").await, "test");
    assert!(planned.edits.lock().await.is_empty());
}

#[tokio::test]
async fn changes_are_summed_up_by_path() {
    let (planned, g) = planned().await;
    g.append("/etc/fstab", b"three\n".to_vec(), "r")
        .await
        .unwrap();
    g.write("/etc/fstab", b"one\nTWO\n".to_vec(), "r")
        .await
        .unwrap();
    g.append("/boot/kernel", vec![0, 1, 2], "r").await.unwrap();
    g.create("/made", b"new\n".to_vec(), attributes(0o644), "r")
        .await
        .unwrap();
    g.remove("/os", "r").await.unwrap();
    let edits = planned.edits.lock().await.clone();
    let mut model = planned.model.lock().await;
    let (records, changes) = summarize(&mut model, &edits).await.unwrap();
    let of = |path: &str| changes.iter().find(|change| change.path == path).unwrap();
    assert_eq!(of("/etc/fstab").edits, [0, 1]);
    let diff = of("/etc/fstab").diff.clone().unwrap();
    assert!(
        diff.contains("-two\n+TWO\n") && !diff.contains("three"),
        "{diff}"
    );
    assert_eq!(
        of("/boot/kernel").summary.as_deref(),
        Some("binary, 7 bytes before, 10 bytes after: 3 bytes appended, the rest is unchanged")
    );
    assert!(of("/made").diff.as_ref().unwrap().contains("+new"));
    assert!(of("/os").diff.as_ref().unwrap().contains("-test"));
    assert_eq!(records[0].after, records[1].before);
    assert_eq!((&records[4].after, &records[3].before), (&None, &None));
}

#[tokio::test]
async fn digests_before_follow_the_file_and_not_the_path() {
    let (planned, g) = planned().await;
    g.write("/etc/fstab", b"first".to_vec(), "r").await.unwrap();
    g.write("/etc/fstab.twin", b"second".to_vec(), "r")
        .await
        .unwrap();
    g.write("/etc/fstab", b"third".to_vec(), "r").await.unwrap();
    g.write("/os", b"old".to_vec(), "r").await.unwrap();
    g.rename("/etc/other", "/os", "r").await.unwrap();
    g.append("/os", b"!".to_vec(), "r").await.unwrap();
    let edits = planned.edits.lock().await.clone();
    let mut model = planned.model.lock().await;
    let (records, _) = summarize(&mut model, &edits).await.unwrap();
    assert_eq!(records[2].before, records[1].after);
    assert_eq!(records[5].before, records[4].before);
}

/// One step of a random plan over a few names in two directories.
#[derive(Debug, Clone)]
enum Step {
    Create(usize, Vec<u8>),
    Write(usize, Vec<u8>),
    Append(usize, Vec<u8>),
    Patch(usize, u8),
    Remove(usize),
    Rename(usize, usize),
    Link(usize, usize),
    Copy(usize, usize),
    Mode(usize, u32),
    Xattr(usize, bool),
    Directory(usize),
}

const NAMES: [&str; 7] = [
    "/a",
    "/b",
    "/etc/fstab",
    "/etc/x",
    "/etc/other",
    "/d",
    "/d/e",
];

async fn take(step: &Step, g: &dyn Edits) -> Result<(), Error> {
    let r = "r";
    match step.clone() {
        Step::Create(at, bytes) => g.create(NAMES[at], bytes, attributes(0o600), r).await,
        Step::Write(at, bytes) => g.write(NAMES[at], bytes, r).await,
        Step::Append(at, bytes) => g.append(NAMES[at], bytes, r).await,
        Step::Patch(at, byte) => g.patch(NAMES[at], 1, vec![byte], r).await,
        Step::Remove(at) => g.remove(NAMES[at], r).await,
        Step::Rename(from, to) => g.rename(NAMES[from], NAMES[to], r).await,
        Step::Link(from, to) => g.link(NAMES[from], NAMES[to], r).await,
        Step::Copy(from, to) => g.copy(NAMES[from], NAMES[to], r).await,
        Step::Mode(at, mode) => g.set_mode(NAMES[at], mode, r).await,
        Step::Xattr(at, set) => {
            let value = set.then(|| b"v".to_vec());
            g.set_xattr(NAMES[at], "user.note", value, r).await
        }
        Step::Directory(at) => g.make_directory(NAMES[at], attributes(0o700), r).await,
    }
}

/// The same on the plain tree, written without the model; false where it cannot be.
fn plainly(step: &Step, s: &mut State) -> bool {
    let is = |s: &State, at: usize| s.number(NAMES[at]).is_ok();
    let file = |s: &State, at: usize| {
        s.at(NAMES[at]).is_ok_and(|n| {
            n.metadata.links > 0 && format!("{:?}", n.metadata.kind).contains("Regular")
        })
    };
    let home = |s: &State, at: usize| {
        let parent = NAMES[at].rsplit_once('/').unwrap().0;
        s.at(parent)
            .is_ok_and(|n| format!("{:?}", n.metadata.kind).contains("Directory"))
    };
    let fill = |s: &mut State, at: usize, bytes: &[u8]| {
        s.resize(NAMES[at], bytes.len()).unwrap();
        s.at_mut(NAMES[at]).unwrap().content = bytes.to_vec();
    };
    match step {
        Step::Create(at, bytes) => {
            if is(s, *at) || !home(s, *at) {
                return false;
            }
            *s = s.clone().file(NAMES[*at], "");
            s.at_mut(NAMES[*at]).unwrap().metadata.mode = 0o600;
            fill(s, *at, bytes);
        }
        Step::Write(at, bytes) if file(s, *at) => fill(s, *at, bytes),
        Step::Append(at, bytes) if file(s, *at) => {
            let mut all = s.at(NAMES[*at]).unwrap().content.clone();
            all.extend(bytes);
            fill(s, *at, &all);
        }
        Step::Patch(at, byte) if file(s, *at) => {
            match s.at_mut(NAMES[*at]).unwrap().content.get_mut(1) {
                Some(place) => *place = *byte,
                None => return false,
            }
        }
        Step::Remove(at) if is(s, *at) => return s.remove(NAMES[*at]).is_ok(),
        Step::Rename(from, to) if is(s, *from) && home(s, *to) => {
            if is(s, *to) && s.number(NAMES[*from]).ok() == s.number(NAMES[*to]).ok() {
                return true;
            }
            if NAMES[*to].starts_with(&format!("{}/", NAMES[*from]))
                || (is(s, *to) && !(file(s, *from) && file(s, *to)))
            {
                return false;
            }
            s.rename(NAMES[*from], NAMES[*to]).unwrap();
        }
        Step::Link(from, to) if file(s, *from) && !is(s, *to) && home(s, *to) => {
            s.hard_link(NAMES[*from], NAMES[*to]).unwrap();
        }
        Step::Copy(from, to) if file(s, *from) && !is(s, *to) && home(s, *to) => {
            let source = s.at(NAMES[*from]).unwrap().clone();
            *s = s.clone().file(NAMES[*to], "");
            fill(s, *to, &source.content);
            let copy = s.at_mut(NAMES[*to]).unwrap();
            copy.metadata.mode = source.metadata.mode;
            copy.xattrs = source.xattrs;
        }
        Step::Mode(at, mode) if is(s, *at) => s.at_mut(NAMES[*at]).unwrap().metadata.mode = *mode,
        Step::Xattr(at, set) if is(s, *at) => {
            let xattrs = &mut s.at_mut(NAMES[*at]).unwrap().xattrs;
            if *set {
                xattrs.insert("user.note".to_owned(), b"v".to_vec());
            } else {
                xattrs.remove("user.note");
            }
        }
        Step::Directory(at) if !is(s, *at) && home(s, *at) => {
            *s = s.clone().directory(NAMES[*at]);
            s.at_mut(NAMES[*at]).unwrap().metadata.mode = 0o700;
        }
        _ => return false,
    }
    true
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0..NAMES.len();
    let bytes = || proptest::collection::vec(any::<u8>(), 0..8);
    prop_oneof![
        (at(), bytes()).prop_map(|(at, bytes)| Step::Create(at, bytes)),
        (at(), bytes()).prop_map(|(at, bytes)| Step::Write(at, bytes)),
        (at(), bytes()).prop_map(|(at, bytes)| Step::Append(at, bytes)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Step::Patch(at, byte)),
        at().prop_map(Step::Remove),
        (at(), at()).prop_map(|(from, to)| Step::Rename(from, to)),
        (at(), at()).prop_map(|(from, to)| Step::Link(from, to)),
        (at(), at()).prop_map(|(from, to)| Step::Copy(from, to)),
        (at(), 0_u32..0o1000).prop_map(|(at, mode)| Step::Mode(at, mode)),
        (at(), any::<bool>()).prop_map(|(at, set)| Step::Xattr(at, set)),
        at().prop_map(Step::Directory),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_plan_is_carried_out_and_accepted(steps in proptest::collection::vec(step(), 1..14)) {
        let mut plain = guest();
        let expected: Vec<bool> = steps.iter().map(|step| plainly(step, &mut plain)).collect();
        plain = plain.file("/done-random", "");
        plain.at_mut("/done-random").unwrap().metadata.mode = 0o600;
        let wanted = Arc::new((steps, expected));
        let random = once("random", move |guest| {
            let wanted = Arc::clone(&wanted);
            async move {
                for (step, fine) in wanted.0.iter().zip(&wanted.1) {
                    let answer = take(step, guest.edits.as_ref()).await;
                    assert_eq!(answer.is_ok(), *fine, "{step:?}: {answer:?}");
                }
                Ok(())
            }
        });
        let bench = Bench::new(&[guest()], JsonTrees::honest(), vec![random]);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let done = runtime.block_on(async {
            let rehearsed = run::plan(&bench.request).await?;
            let output = Output::prepare(&bench.out(), &rehearsed.plan.disk_names())?;
            apply(rehearsed, &bench.request, output, 1).await
        });
        let done = done.unwrap();
        let result = State::of_disk(&bench.out().join(&done.disks[0].file));
        prop_assert_eq!(result.shape(), plain.shape());
    }
}
