//! A file system that does something else than it was asked, each time in one way.

use crate::common::{Bench, JsonTrees, State, attributes, guest, once};
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::Fixer;
use cofferdam_contract::types::{Entry, FileKind, Page};
use cofferdam_orchestrator::MigrateError;
use cofferdam_orchestrator::migration::run;
use std::sync::Arc;

fn edits() -> Arc<dyn Fixer> {
    once("some", |guest| async move {
        let edits = guest.edits;
        edits.write("/etc/other", b"OTHER".to_vec(), "r").await?;
        edits
            .create("/made", b"made".to_vec(), attributes(0o640), "r")
            .await?;
        edits.link("/made", "/made.twin", "r").await?;
        edits.make_directory("/dir", attributes(0o755), "r").await?;
        edits
            .create("/dir/in", b"in".to_vec(), attributes(0o640), "r")
            .await?;
        edits
            .symlink("/sym", "made", attributes(0o777), "r")
            .await?;
        edits.set_mode("/os", 0o600, "r").await?;
        edits.remove("/etc/dangling", "r").await?;
        edits.rename("/etc/loop", "/etc/moved", "r").await
    })
}

#[tokio::test]
async fn the_truth_is_accepted() {
    let bench = Bench::new(&[guest()], JsonTrees::honest(), vec![edits()]);
    let plan = run::plan(&bench.request).await.unwrap().plan;
    assert_eq!(plan.edits.len(), 10);
}

#[tokio::test]
async fn every_lie_is_found_alone() {
    type Lie = fn(&mut State);
    let cases: [(&str, &str, Lie); 18] = [
        ("mode of another", "/boot", |s| {
            s.at_mut("/boot").unwrap().metadata.mode = 0o777
        }),
        ("time of another", "/etc/fstab", |s| {
            s.at_mut("/etc/fstab").unwrap().metadata.modified.seconds = 7
        }),
        ("size of another", "/etc/fstab", |s| {
            s.resize("/etc/fstab", 3).unwrap()
        }),
        ("mode", "/made", |s| {
            s.at_mut("/made").unwrap().metadata.mode = 0o666
        }),
        ("owner", "/made", |s| {
            s.at_mut("/made").unwrap().metadata.owner = 9
        }),
        ("content", "/etc/other", |s| {
            s.at_mut("/etc/other").unwrap().content[0] = b'o'
        }),
        ("content where only the mode was planned", "/os", |s| {
            s.at_mut("/os").unwrap().content[0] = b'X'
        }),
        ("extra", "/extra", |s| *s = s.clone().file("/extra", "")),
        ("missing", "/boot", |s| s.remove("/boot").unwrap()),
        ("never made", "/sym", |s| s.remove("/sym").unwrap()),
        ("never made, in a new folder", "/dir/in", |s| {
            s.remove("/dir/in").unwrap()
        }),
        ("still there", "/etc/dangling", |s| {
            *s = s.clone().link_to("/etc/dangling", "/nowhere")
        }),
        ("attribute changed", "/etc/other", |s| {
            s.at_mut("/etc/other")
                .unwrap()
                .xattrs
                .insert("user.note".to_owned(), b"lost".to_vec());
        }),
        ("attribute added", "/made", |s| {
            s.at_mut("/made")
                .unwrap()
                .xattrs
                .insert("user.more".to_owned(), vec![]);
        }),
        ("links", "/made", |s| {
            s.at_mut("/made").unwrap().metadata.links = 5
        }),
        ("target", "/sym", |s| {
            s.at_mut("/sym").unwrap().target = "nade".to_owned()
        }),
        ("another inode", "/etc/fstab", |s| {
            let mut copy = s.at("/etc/fstab").unwrap().clone();
            copy.metadata.inode = 999;
            s.inodes.insert(999, copy);
            s.at_mut("/etc")
                .unwrap()
                .entries
                .insert("fstab".to_owned(), 999);
        }),
        ("a copy in place of a second name", "/made", |s| {
            let mut copy = s.at("/made").unwrap().clone();
            copy.metadata.inode = 999;
            s.inodes.insert(999, copy);
            s.inodes
                .get_mut(&1)
                .unwrap()
                .entries
                .insert("made.twin".to_owned(), 999);
        }),
    ];
    for (what, path, lie) in cases {
        let bench = Bench::new(&[guest()], JsonTrees::lying(lie), vec![edits()]);
        match run::plan(&bench.request).await.map(|done| done.plan.edits) {
            Err(MigrateError::ResultDiffers { differences }) => {
                assert!(
                    differences.iter().all(|d| d.starts_with(path)),
                    "{what}: {differences:?}"
                );
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn listings_that_cannot_be_end_the_run() {
    fn page(name: &str, inode: u64, next: Option<String>) -> Page {
        let entries = vec![Entry {
            name: name.to_owned(),
            kind: FileKind::Directory,
            inode,
        }];
        Page { entries, next }
    }
    type Listing = fn(&str, &str) -> Option<Page>;
    let cases: [(&str, Listing); 5] = [
        ("no entries and more to come", |_, cursor| {
            Some(Page {
                entries: vec![],
                next: Some(format!("{cursor}x")),
            })
        }),
        ("does not move on", |_, _| {
            Some(page("etc", 3, Some("same".to_owned())))
        }),
        ("a slash in a name", |_, _| Some(page("etc/fstab", 3, None))),
        ("the folder itself", |_, _| Some(page(".", 1, None))),
        ("a folder with two names", |path, _| {
            (path == "/").then(|| Page {
                entries: ["etc", "twin"]
                    .map(|n| page(n, 3, None).entries.remove(0))
                    .to_vec(),
                next: None,
            })
        }),
    ];
    for (what, listing) in cases {
        let mut state = guest();
        let etc = state.number("/etc").unwrap();
        state
            .inodes
            .get_mut(&1)
            .unwrap()
            .entries
            .insert("twin".to_owned(), etc);
        let mut trees = JsonTrees::honest();
        trees.listing = Some(Arc::new(listing));
        let bench = Bench::new(&[state], trees, vec![edits()]);
        let outcome = run::plan(&bench.request).await.map(|done| done.plan.edits);
        assert!(
            matches!(
                outcome,
                Err(MigrateError::Plugin(CallError::Nonsense { .. }))
            ),
            "{what}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn inode_numbers_that_are_used_again_are_no_difference() {
    let again = once("again", |guest| async move {
        let edits = guest.edits;
        edits.remove("/os", "r").await?;
        edits
            .create("/os", b"newer".to_vec(), attributes(0o755), "r")
            .await
    });
    let bench = Bench::new(&[guest()], JsonTrees::honest(), vec![again]);
    run::plan(&bench.request).await.unwrap();
}

#[tokio::test]
async fn the_other_name_of_a_moved_file_may_have_its_new_time() {
    let moved = once("moved", |guest| async move {
        guest.edits.rename("/etc/fstab", "/etc/table", "r").await?;
        guest.edits.set_mode("/", 0o711, "r").await
    });
    let bench = Bench::new(&[guest()], JsonTrees::honest(), vec![moved]);
    run::plan(&bench.request).await.unwrap();
}
