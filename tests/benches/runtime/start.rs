//! From the start of a host to the moment it can be used, with twenty plugins.

use crate::child::{ask, resident};
use crate::echo;
use crate::spells::{head, median, row};
use cofferdam_capabilities::{load_plugins, runtime};
use cofferdam_contract::grants::Granted;
use cofferdam_runtime::cache::Cache;
use cofferdam_runtime::compiler::Compiler;
use cofferdam_runtime::{Options, PluginFolder};
use cofferdam_tests::{binary, components, plugins};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PLUGINS: usize = 20;

/// Larger ones take longer to compile than everything else together: the one with an
/// interpreter in it.
const LARGEST: u64 = 4 << 20;

/// How long a host may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Fills a new folder with the product's plugins and as many small ones as are missing.
fn fill(folder: &Path) -> usize {
    fs::create_dir(folder).unwrap();
    let mut count = 0;
    for file in components(&plugins()) {
        if fs::metadata(&file).unwrap().len() <= LARGEST {
            fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
            count += 1;
        }
    }
    let component = echo::component();
    for number in count..PLUGINS {
        let id = format!("p{number}");
        let file = folder.join(format!("{id}.wasm"));
        fs::write(file, echo::plugin(&component, &id)).unwrap();
    }
    count
}

/// In a child: `FOLDER CACHE`. Milliseconds until the folder's plugins are known, until
/// all of them are loaded, and resident KiB then.
pub fn host(arguments: &[String]) -> Vec<f64> {
    let [folder, cache] = arguments else {
        panic!("start FOLDER CACHE")
    };
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio.block_on(async {
        let began = Instant::now();
        let options = Options {
            cache: Cache::open(Path::new(cache)),
            compiler: Compiler::this_program(),
            ..Options::uncached()
        };
        let runtime = runtime(&options).unwrap();
        let scan = PluginFolder::scan(&[folder.into()]);
        let mut granted = Granted::nothing();
        for file in &scan.plugins {
            let inspection = &file.inspection;
            for interface in inspection.kind.grantable_imports() {
                granted.grant(&inspection.manifest.id, interface);
            }
        }
        let loaded = load_plugins(&runtime, scan, &granted).unwrap();
        assert_eq!(loaded.code.len(), PLUGINS, "{:?}", loaded.ungranted);
        let known = began.elapsed();
        let loads = loaded.code.values().map(|code| {
            let code = code.clone();
            tokio::spawn(async move {
                code.load().await.unwrap();
            })
        });
        for load in loads.collect::<Vec<_>>() {
            load.await.unwrap();
        }
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        vec![ms(known), ms(began.elapsed()), resident("self")]
    })
}

/// A real `serve`, killed when this is dropped.
struct Serve(Child);

impl Drop for Serve {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn is_ready(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    let request = format!("GET /health/ready HTTP/1.0\r\nhost: {address}\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.split_whitespace().nth(1) == Some("200")
}

/// Milliseconds until `/health/ready` says so, and resident KiB then. The state is new.
fn serve(folder: &Path, round: usize) -> [f64; 2] {
    let state = folder.join(format!("state{round}"));
    let address = folder.join("address");
    fs::remove_file(&address).ok();
    let began = Instant::now();
    let server = Command::new(binary())
        .env("COFFERDAM_PLUGINS", folder.join("plugins"))
        .env("COFFERDAM_STATE", &state)
        .env("XDG_CACHE_HOME", folder.join("home"))
        .env_remove("COFFERDAM_SERVER")
        .current_dir(folder)
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(["--address-file", "address", "--first-token-file"])
        .arg(state.with_extension("token"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut server = Serve(server);
    loop {
        let url = fs::read_to_string(&address).unwrap_or_default();
        let listening = url.trim().strip_prefix("http://");
        if listening.is_some_and(is_ready) {
            break;
        }
        assert!(server.0.try_wait().unwrap().is_none(), "serve ended");
        assert!(began.elapsed() < PATIENCE, "serve does not get ready");
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = began.elapsed().as_secs_f64() * 1e3;
    [took, resident(&server.0.id().to_string())]
}

/// Prints the table.
pub fn measure(rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let product = fill(&folder.path().join("plugins"));
    let plugins = folder.path().join("plugins");
    let plugins = plugins.to_str().unwrap();
    let [mut cold, mut warm, mut served] = [const { Vec::new() }; 3];
    for round in 0..rounds {
        let cache = folder.path().join(format!("cache{round}"));
        let cache = cache.to_str().unwrap();
        cold.push(ask("start", &[plugins, cache]));
        warm.push(ask("start", &[plugins, cache]));
        served.push(serve(folder.path(), round).to_vec());
    }
    let of = |figures: &[Vec<f64>], at: usize| median(figures.iter().map(|f| f[at]).collect());
    head(&["start with 20 plugins", "ms", "resident, MiB"]);
    let line = |name: &str, ms: f64, kib: Option<f64>| {
        let kib = kib.map_or_else(String::new, |kib| format!("{:.0}", kib / 1024.0));
        row(&[name.to_owned(), format!("{ms:.0}"), kib]);
    };
    line("`serve` is ready", of(&served, 0), Some(of(&served, 1)));
    line("all plugins are known", of(&warm, 0), None);
    line(
        "all are loaded, warm cache",
        of(&warm, 1),
        Some(of(&warm, 2)),
    );
    line(
        "all are loaded, cold cache, compiled in child processes",
        of(&cold, 1),
        Some(of(&cold, 2)),
    );
    println!(
        "\n{product} of the product's plugins, the others small. A plugin is loaded at its first use."
    );
}
