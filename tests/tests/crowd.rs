//! Many guests at once: a hundred fixers, each reading through a file-system session of its
//! own, with fewer slots and turns than there are of them. All finish, none is stopped.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

#[path = "../../host/runtime/tests/guest/mod.rs"]
mod guest;

use cofferdam_capabilities::{LoadedPlugins, load_plugins, runtime};
use cofferdam_contract::failure::{CallError, Limit};
use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::{Call, FileTree, FixerGuest, Plugin};
use cofferdam_contract::limits::LimitOverrides;
use cofferdam_contract::services::Facts;
use cofferdam_contract::types::{BlockDevice, MountPoint, OperatingSystem, TargetMachine};
use cofferdam_disk::{Format, Image, SourceFolder};
use cofferdam_fixtures::find;
use cofferdam_orchestrator::guest::{Model, Mount, Planned};
use cofferdam_orchestrator::migration::devices::ImageDevices;
use cofferdam_runtime::{Options, PluginFolder};
use cofferdam_tests::{plugins, tool};
use guest::{PLAN_TIME, Reached, TestRun};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const CROWD: usize = 100;

const UUID: &str = "5a0f4b1c-3d62-4e8f-9a7b-c0ffe2da0002";

/// Nothing here takes long; where nobody can go on, it would take for ever.
const LONG: Duration = Duration::from_secs(500);

/// A small ext4 file system whose fstab has names that will change.
fn disk(folder: &Path) -> Option<()> {
    if find("mke2fs").is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "mke2fs (e2fsprogs) is missing"
        );
        println!("skipped: mke2fs (e2fsprogs) is missing");
        return None;
    }
    let tree = folder.join("tree");
    std::fs::create_dir_all(tree.join("etc")).unwrap();
    std::fs::write(
        tree.join("etc/fstab"),
        "/dev/sda1 / ext4 errors=remount-ro 0 1\n",
    )
    .unwrap();
    let image = folder.join("disk.raw");
    tool(
        "mke2fs",
        &[
            "-q".as_ref(),
            "-F".as_ref(),
            "-t".as_ref(),
            "ext4".as_ref(),
            "-U".as_ref(),
            UUID.as_ref(),
            "-d".as_ref(),
            tree.as_ref(),
            image.as_ref(),
            "16M".as_ref(),
        ],
    );
    Some(())
}

fn facts() -> Facts {
    Facts {
        operating_system: OperatingSystem {
            kind: "linux".to_owned(),
            distribution: "debian".to_owned(),
            version: "12".to_owned(),
            name: "Debian".to_owned(),
            architecture: "x86_64".to_owned(),
        },
        devices: vec![BlockDevice {
            index: 0,
            disk: 0,
            partition: Some(1),
            offset: 1 << 20,
            size: 16 << 20,
            kind: Some("ext4".to_owned()),
            uuid: Some(UUID.to_owned()),
            label: None,
            partition_uuid: None,
            partition_label: None,
            old_names: vec!["/dev/sda1".to_owned()],
        }],
        mounts: vec![MountPoint {
            path: "/".to_owned(),
            device: 0,
            options: String::new(),
        }],
        kernels: Vec::new(),
        nics: Vec::new(),
        firmware: "bios".to_owned(),
        target: TargetMachine {
            disk_bus: "virtio-blk".to_owned(),
            nic_model: "virtio-net".to_owned(),
        },
        other: BTreeMap::new(),
    }
}

fn call(plugin: &dyn Plugin) -> Call {
    let settings = plugin.manifest().settings(&serde_json::Map::new()).unwrap();
    Call {
        context: Arc::new(TestRun::default()),
        settings: settings.to_string(),
    }
}

/// One guest: a session, the fixer on what it shows, and how many edits that gave.
async fn one(loaded: &LoadedPlugins, image: Arc<dyn Image>) -> Result<usize, CallError> {
    let set = &loaded.set;
    let filesystem = &set.filesystems[0];
    let fixer = &set.fixers[0];
    let slot = set.sessions.reserve(1).await?.pop().unwrap();
    let devices = ImageDevices::new(vec![image], true);
    let session = filesystem
        .open(call(filesystem.as_ref()), devices, slot)
        .await?;
    assert_eq!(session.probe().await?.unwrap().kind, "ext4");
    session.mount(false).await?;
    let session: Arc<dyn FileTree> = Arc::from(session);
    let root = Mount {
        path: "/".to_owned(),
        tree: 0,
    };
    let (model, refused) = Model::compose(vec![session], &[root], PLAN_TIME).await?;
    assert!(refused.is_empty(), "{refused:?}");
    let planned = Arc::new(Planned::new(model, Arc::default()));
    let view = planned.for_fixer("fstab");
    let guest = FixerGuest {
        view: Arc::clone(&view) as _,
        facts: Arc::new(facts()),
        edits: view,
    };
    fixer.fix(call(fixer.as_ref()), guest).await?;
    if let Some(fault) = planned.take_fault().await {
        return Err(fault);
    }
    Ok(planned.edits.lock().await.len())
}

/// Runs the crowd and gives the limits that somebody reached.
async fn crowd(options: Options) -> Option<Vec<(String, Limit)>> {
    let folder = tempfile::tempdir().unwrap();
    disk(folder.path())?;
    let chosen = folder.path().join("plugins");
    std::fs::create_dir(&chosen).unwrap();
    for id in ["ext4.wasm", "fstab.wasm"] {
        std::os::unix::fs::symlink(plugins().join(id), chosen.join(id)).unwrap();
    }
    let reached = Arc::new(Reached::default());
    let options = Options {
        observer: Arc::clone(&reached) as _,
        ..options
    };
    let runtime = runtime(&options).unwrap();
    let scan = PluginFolder::scan(&[chosen]);
    let loaded = Arc::new(load_plugins(&runtime, scan, &Granted::nothing()).unwrap());
    assert!(loaded.refused.is_empty(), "{:?}", loaded.refused);
    let source = SourceFolder::open(folder.path()).unwrap();
    let image = cofferdam_disk::open(&source, "disk.raw", Some(Format::Raw)).unwrap();
    let guests: Vec<_> = (0..CROWD)
        .map(|_| {
            let (loaded, image) = (Arc::clone(&loaded), Arc::clone(&image));
            tokio::spawn(async move { one(&loaded, image).await })
        })
        .collect();
    let all = async {
        for guest in guests {
            assert_eq!(guest.await.unwrap().unwrap(), 1, "the fstab is edited");
        }
    };
    let ended = tokio::time::timeout(LONG, all).await;
    assert!(ended.is_ok(), "they wait for each other");
    Some(reached.all())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_fixers_with_a_session_each_finish_within_their_limits() {
    if let Some(reached) = crowd(Options::with_default_cache()).await {
        assert_eq!(reached, [], "nobody had to be stopped, nor to wait");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn they_finish_with_fewest_slots_and_turns() {
    let one_at_a_time = LimitOverrides {
        concurrent_calls: Some(1),
        ..LimitOverrides::default()
    };
    let options = Options {
        calls: 2,
        sessions: 3,
        limits: ["ext4", "fstab"]
            .map(|id| (id.to_owned(), one_at_a_time))
            .into(),
        ..Options::with_default_cache()
    };
    if let Some(reached) = crowd(options).await {
        assert!(!reached.is_empty(), "some had to wait");
        for (plugin, limit) in reached {
            assert_eq!(limit, Limit::ConcurrentCalls, "{plugin}");
        }
    }
}
