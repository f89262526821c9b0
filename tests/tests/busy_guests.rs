//! Runs are driven on the threads that guests run on. However busy guests are there, other
//! runs go on, and are cancelled when they are told to.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

#[path = "../../host/runtime/tests/guest/mod.rs"]
mod guest;

use cofferdam_contract::manifest::Manifest;
use cofferdam_runtime::embed_manifest;
use cofferdam_tests::server::wait_for;
use cofferdam_tests::site::Site;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

/// Steps that are busy at once: more than the runtime has room for.
const BUSY: usize = 24;

/// A guest that never ends by itself.
fn plugin(site: &Site, id: &str, execute: &str) {
    let manifest = format!(
        "id = \"{id}\"\nversion = \"0.1.0\"\nsummary = \"is busy\"\n\
         [limits]\nmemory-mib = 64\ncpu-ms = 600000\nwall-ms = 3600000\n"
    );
    let component = guest::step("", "", &[("execute", execute)]);
    let component = embed_manifest(&component, &Manifest::parse(&manifest).unwrap()).unwrap();
    fs::write(site.path(&format!("plugins/{id}.wasm")), component).unwrap();
    let mut workflow = format!("name: {id}\nsteps:\n");
    for number in 0..BUSY {
        writeln!(workflow, "  - {{id: s{number}, uses: {id}}}").unwrap();
    }
    site.write(&format!("{id}.yaml"), &workflow);
}

fn json(site: &Site, args: &[&str]) -> Value {
    let mut all = args.to_vec();
    all.extend(["--output", "json"]);
    serde_json::from_str(&site.run(&all).code(0).stdout).unwrap()
}

fn state(site: &Site, run: &str) -> Value {
    json(site, &["runs", "show", run])["run"]["state"].clone()
}

#[test]
fn runs_go_on_and_are_cancelled_beside_guests_that_never_rest() {
    let mut site = Site::embedded();
    plugin(&site, "spins", "(loop $l (br $l)) (unreachable)");
    // Nothing interrupts a fill.
    let fill = "(drop (memory.grow (i32.const 900)))
        (loop $l
            (memory.fill (i32.const 65536) (i32.const 7) (i32.const 58982400))
            (br $l))
        (unreachable)";
    plugin(&site, "fills", fill);
    let greets: String = (0..5)
        .map(|number| {
            let needs = match number {
                0 => String::new(),
                _ => format!(", needs: [g{}]", number - 1),
            };
            format!(
                "  - {{id: g{number}, uses: command, with: {{tool: sh, args: [\"-c\", \"true\"]}}{needs}}}\n"
            )
        })
        .collect();
    site.write("greets.yaml", &format!("name: greets\nsteps:\n{greets}"));
    site.start();
    for busy in ["spins", "fills"] {
        let workflow = format!("{busy}.yaml");
        let runs = [(); 2].map(|()| {
            let run = json(&site, &["run", &workflow, "--detach"]);
            run["run"]["id"].as_str().unwrap().to_owned()
        });
        for run in &runs {
            wait_for("its steps run", || {
                (state(&site, run) == "running").then_some(())
            });
        }
        let began = Instant::now();
        let greeted = json(&site, &["run", "greets.yaml"]);
        assert_eq!(greeted["run"]["state"], "succeeded");
        println!("beside {busy}, five steps took {:?}", began.elapsed());
        for run in &runs {
            assert_eq!(state(&site, run), "running");
            let began = Instant::now();
            json(&site, &["runs", "cancel", run]);
            wait_for("it is cancelled", || {
                (state(&site, run) == "cancelled").then_some(())
            });
            println!("beside {busy}, cancelling took {:?}", began.elapsed());
        }
    }
}
