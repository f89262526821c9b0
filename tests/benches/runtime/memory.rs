//! What plugins that are only there take, and instances that stay.

use crate::calls::Warm;
use crate::child::{anonymous, ask};
use crate::echo;
use crate::guest::TestRun;
use crate::spells::{head, median, row};
use cofferdam_contract::bindings::exports::cofferdam::plugin::step::GuestIndices;
use cofferdam_contract::grants::Granted;
use cofferdam_contract::services::Context;
use cofferdam_runtime::cache::Cache;
use cofferdam_runtime::{Options, PluginCode, PluginFile, PluginFolder, Runtime};
use std::path::Path;
use std::sync::Arc;

const COUNTS: [usize; 3] = [1, 100, 1_000];

/// What a call hands over, bytes.
const INPUT: usize = 1 << 10;

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn options(cache: &str) -> Options {
    Options {
        cache: Cache::open(Path::new(cache)),
        ..Options::uncached()
    }
}

/// A folder's plugins, not loaded.
fn known(runtime: &Arc<Runtime>, folder: &str) -> Vec<PluginCode> {
    let scan = PluginFolder::scan(&[folder.into()]);
    let files = scan.plugins.into_iter();
    files
        .map(|file| PluginCode::new(Arc::clone(runtime), file, &Granted::nothing()))
        .collect()
}

async fn load(plugins: &[PluginCode]) {
    for code in plugins {
        code.load().await.unwrap();
    }
}

/// In a child: `FIRST FOLDER CACHE`. KiB that the second folder's plugins take once they
/// are known, and once they are loaded; the first's take what is taken once.
pub fn plugins(arguments: &[String]) -> Vec<f64> {
    let [first, folder, cache] = arguments else {
        panic!("plugins FIRST FOLDER CACHE")
    };
    current_thread().block_on(async {
        let runtime = Runtime::new(&options(cache), &[]).unwrap();
        let ones = known(&runtime, first);
        load(&ones).await;
        let before = anonymous();
        let plugins = known(&runtime, folder);
        let listed = anonymous();
        load(&plugins).await;
        vec![listed - before, anonymous() - before]
    })
}

/// In a child: `FILE CACHE COUNT`. KiB that so many instances take which were called once.
pub fn instances(arguments: &[String]) -> Vec<f64> {
    let [file, cache, count] = arguments else {
        panic!("instances FILE CACHE COUNT")
    };
    let count: u32 = count.parse().unwrap();
    let options = Options {
        sessions: count,
        ..options(cache)
    };
    current_thread().block_on(async {
        let runtime = Runtime::new(&options, &[]).unwrap();
        let file = PluginFile::read(Path::new(file)).unwrap();
        let code = Arc::new(PluginCode::new(
            Arc::clone(&runtime),
            file,
            &Granted::nothing(),
        ));
        let exports = GuestIndices::new(code.load().await.unwrap()).unwrap();
        let run: Arc<dyn Context> = Arc::<TestRun>::default();
        let input = "x".repeat(INPUT);
        // One call to the end, for what its path takes once.
        Warm::start(&code, exports.clone(), &run)
            .await
            .call(&input)
            .await;
        let before = anonymous();
        let mut warm = Vec::new();
        for _ in 0..count {
            let mut one = Warm::start(&code, exports.clone(), &run).await;
            one.call(&input).await;
            warm.push(one);
        }
        vec![anonymous() - before]
    })
}

/// Prints the table.
pub fn measure(rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let component = echo::component();
    let cache = path("cache");
    let folders = COUNTS.map(|count| {
        let plugins = path(&format!("plugins{count}"));
        std::fs::create_dir(&plugins).unwrap();
        for number in 0..count {
            let id = format!("p{number}");
            let file = Path::new(&plugins).join(format!("{id}.wasm"));
            std::fs::write(file, echo::plugin(&component, &id)).unwrap();
        }
        plugins
    });
    // Compiles what the others find.
    ask("plugins", &[&folders[0], &folders[2], &cache]);
    let file = Path::new(&folders[0]).join("p0.wasm");
    let mut figures = vec![vec![Vec::new(); COUNTS.len()]; 3];
    for _ in 0..rounds {
        for (at, count) in COUNTS.iter().enumerate() {
            let each = |kib: f64| kib / *count as f64;
            let plugins = ask("plugins", &[&folders[0], &folders[at], &cache]);
            figures[0][at].push(each(plugins[0]));
            figures[1][at].push(each(plugins[1]));
            let count = count.to_string();
            let arguments = [file.to_str().unwrap(), &cache, &count];
            figures[2][at].push(each(ask("instances", &arguments)[0]));
        }
    }
    head(&["memory of each, KiB", "1", "100", "1,000"]);
    let names = [
        "a plugin that is known",
        "a plugin that is loaded, no call going on",
        "a warm instance that was called with 1 KiB",
    ];
    for (name, counts) in names.iter().zip(figures) {
        let cells = counts.into_iter().map(|kib| format!("{:.0}", median(kib)));
        let name = [(*name).to_owned()].into_iter();
        row(&name.chain(cells).collect::<Vec<_>>());
    }
    println!(
        "\nThe component has {} bytes. Pages of files, the program's own, are not counted.",
        component.len()
    );
}
