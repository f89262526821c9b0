//! Paths through the guest, as fixers see them.

use crate::common::{NOW, Session, boot, guest};
use cofferdam_contract::services::View;
use cofferdam_contract::types::ErrorCode;
use cofferdam_orchestrator::guest::view::FixerView;
use cofferdam_orchestrator::guest::{Model, Mount, Notes, Planned};
use std::sync::Arc;

/// A guest whose `/boot` is another file system.
pub async fn planned() -> (Arc<Planned>, Arc<FixerView>) {
    let mounts =
        [("/boot", 1), ("/", 0), ("/etc/fstab", 1), ("/absent", 1)].map(|(path, tree)| Mount {
            path: path.to_owned(),
            tree,
        });
    let (model, refused) = Model::compose(
        vec![Session::of(guest()), Session::of(boot())],
        &mounts,
        NOW,
    )
    .await
    .unwrap();
    let refused: Vec<&str> = refused
        .iter()
        .map(|(mount, _)| mount.path.as_str())
        .collect();
    assert_eq!(refused, ["/absent", "/etc/fstab"]);
    let planned = Arc::new(Planned::new(model, Arc::new(Notes::default())));
    let view = planned.for_fixer("test");
    (planned, view)
}

#[tokio::test]
async fn paths_lead_where_linux_leads_them() {
    let (_planned, view) = planned().await;
    let long = format!("/{}", "a/".repeat(2100));
    for (path, expected) in [
        ("/etc/fstab", Ok("one\ntwo\n")),
        ("//etc/./fstab", Ok("one\ntwo\n")),
        ("/etc/absolute", Ok("one\ntwo\n")),
        ("/etc/relative", Ok("one\ntwo\n")),
        ("/etc/above", Ok("one\ntwo\n")),
        ("/conf/fstab", Ok("one\ntwo\n")),
        ("/../../etc/fstab", Ok("one\ntwo\n")),
        ("/boot/kernel", Ok("vmlinuz")),
        ("/boot/../boot/kernel", Ok("vmlinuz")),
        ("/boot/up", Ok("one\ntwo\n")),
        ("/boot/../etc/fstab", Ok("one\ntwo\n")),
        ("/etc/loop", Err(ErrorCode::Invalid)),
        ("/etc/loop/more", Err(ErrorCode::Invalid)),
        ("/etc/dangling", Err(ErrorCode::NotFound)),
        ("/etc/fstab/name", Err(ErrorCode::NotFound)),
        ("/etc/fstab/../fstab", Err(ErrorCode::NotFound)),
        ("/missing/../etc/fstab", Err(ErrorCode::NotFound)),
        ("/etc", Err(ErrorCode::Invalid)),
        ("/", Err(ErrorCode::Invalid)),
        ("etc/fstab", Err(ErrorCode::Invalid)),
        ("", Err(ErrorCode::Invalid)),
        ("/etc/fs\0tab", Err(ErrorCode::Invalid)),
        (long.as_str(), Err(ErrorCode::Invalid)),
    ] {
        let found = view.read_at(path, 0, 100).await;
        let found = found.map_err(|error| error.code);
        let expected = expected.map(|text| text.as_bytes().to_vec());
        assert_eq!(found, expected, "{path}");
    }
}

#[tokio::test]
async fn a_link_at_the_end_is_followed_where_asked() {
    let (_planned, view) = planned().await;
    let link = view.stat("/conf", false).await.unwrap();
    let directory = view.stat("/conf", true).await.unwrap();
    assert_ne!(link.inode, directory.inode);
    assert_eq!(view.read_link("/conf").await.unwrap(), "etc");
    assert_eq!(
        view.read_link("/etc").await.unwrap_err().code,
        ErrorCode::Invalid
    );
}
