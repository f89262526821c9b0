//! A well-behaved plugin that is called all the time: a fixer that reads a file of its guest
//! through a file system that is a component too.

use crate::attack::{Ground, NOW, Watcher};
use cofferdam_contract::kinds::{Call, Fixer, FixerGuest};
use cofferdam_contract::services::{Devices, Facts};
use cofferdam_contract::types::{OperatingSystem, TargetMachine};
use cofferdam_orchestrator::guest::{Model, Mount, Notes, Planned};
use cofferdam_orchestrator::migration::devices::ImageDevices;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Between two calls, so that the neighbour itself leaves the machine to others.
const PAUSE: Duration = Duration::from_millis(2);

/// The neighbour, on a thread of its own.
pub struct Neighbour {
    stop: Arc<AtomicBool>,
    calls: Arc<Mutex<Vec<Duration>>>,
    thread: std::thread::JoinHandle<()>,
}

impl Neighbour {
    /// Moves in.
    pub async fn begin(ground: &Ground) -> Self {
        let plugins = &ground.honest.set;
        let call = |settings: &str| Call {
            context: Arc::new(Watcher::default()),
            settings: settings.to_owned(),
        };
        let slot = plugins.sessions.reserve(1).await.unwrap().pop().unwrap();
        let devices: Arc<dyn Devices> = ImageDevices::new(Vec::new(), true);
        let tree = plugins.filesystems[0]
            .open(call("{}"), devices, slot)
            .await
            .unwrap();
        tree.mount(false).await.unwrap();
        let root = Mount {
            path: "/".to_owned(),
            tree: 0,
        };
        let (model, refused) = Model::compose(vec![Arc::from(tree)], &[root], NOW)
            .await
            .unwrap();
        assert!(refused.is_empty());
        let planned = Arc::new(Planned::new(model, Arc::<Notes>::default()));
        let fixers = plugins.fixers.iter();
        let fixer = fixers
            .into_iter()
            .find(|fixer| fixer.manifest().id == "honest-fixer")
            .map(Arc::clone)
            .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let thread = std::thread::spawn({
            let (stop, calls, call) = (Arc::clone(&stop), Arc::clone(&calls), call("{}"));
            move || live(&stop, &calls, fixer.as_ref(), &planned, &call)
        });
        Self {
            stop,
            calls,
            thread,
        }
    }

    /// How long each call took since this was asked last.
    pub fn noticed(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    /// Moves out.
    ///
    /// # Panics
    /// If one of its calls ever failed.
    pub fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

fn live(
    stop: &AtomicBool,
    calls: &Mutex<Vec<Duration>>,
    fixer: &dyn Fixer,
    planned: &Arc<Planned>,
    call: &Call,
) {
    let facts = Arc::new(facts());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        while !stop.load(Ordering::Relaxed) {
            let services = planned.for_fixer("honest-fixer");
            let guest = FixerGuest {
                view: services.clone(),
                facts: Arc::clone(&facts),
                edits: services,
            };
            let began = Instant::now();
            fixer.fix(call.clone(), guest).await.unwrap();
            calls.lock().unwrap().push(began.elapsed());
            tokio::time::sleep(PAUSE).await;
        }
    });
}

fn facts() -> Facts {
    let linux = || "linux".to_owned();
    Facts {
        operating_system: OperatingSystem {
            kind: linux(),
            distribution: linux(),
            version: String::new(),
            name: linux(),
            architecture: String::new(),
        },
        devices: Vec::new(),
        mounts: Vec::new(),
        kernels: Vec::new(),
        nics: Vec::new(),
        firmware: "unknown".to_owned(),
        target: TargetMachine {
            disk_bus: "virtio-blk".to_owned(),
            nic_model: "virtio-net".to_owned(),
        },
        other: BTreeMap::new(),
    }
}
