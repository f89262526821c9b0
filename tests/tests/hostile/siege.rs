//! All attacks in one run, beside a neighbour.

use crate::attack::{Attack, Ended, Ground, Watcher};
use crate::cases::{CASES, Case, Class};
use crate::measure::{Held, Latencies};
use crate::neighbour::Neighbour;
use cofferdam_contract::failure::CallError;
use cofferdam_runtime::Options;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::RwLock;

/// The siege counts what the whole process holds, so that no other test runs beside it.
pub static ALONE: RwLock<()> = RwLock::const_new(());

/// How often each attack is repeated; the soak sets it.
const ROUNDS: &str = "COFFERDAM_ROUNDS";

/// How much more resident memory there may be afterwards, KiB: pages that the pool keeps for
/// instances (256 KiB each), what small things still in use lie in, and code of the neighbour.
const MARGIN: u64 = 96 << 10;

/// A plugin may log 256 KiB in a call, of lines of at least 64 bytes; a plan makes few calls.
const MOST_LINES: usize = 5_000;
const MOST_LOGGED: usize = 1 << 20;

/// Most characters that are shown of how an attack ended.
const MOST_SHOWN: usize = 400;

/// How long the neighbour is alone, for comparison.
const QUIET: Duration = Duration::from_millis(1_500);

/// At least so long each class goes on, that the neighbour has calls enough to compare.
const CLASS: Duration = Duration::from_millis(600);

/// Where it is asserted how long the neighbour waits: so long, and up to so many times. The least
/// of them counts: what else goes on on this machine makes a window longer and never shorter.
const WINDOW: Duration = Duration::from_secs(5);
const WINDOWS: u32 = 3;

/// Attacks at once.
const CROWD: usize = 40;

/// One tick of the epoch.
const TICK: Duration = Duration::from_millis(1);

fn rounds() -> Option<u32> {
    Some(std::env::var(ROUNDS).ok()?.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attack_ends_as_it_must_and_nothing_is_left_of_it() {
    let _alone = ALONE.write().await;
    let ground = Ground::new(&Options::uncached());
    let neighbour = Neighbour::begin(&ground).await;
    // What is made at the first use of anything is not what an attack left.
    let mut wrong = Vec::new();
    for case in CASES {
        if let Some(loaded) = ground.load(case) {
            wrong.extend(attack(&ground, case, &loaded, 1).await);
        }
    }
    neighbour.noticed();
    tokio::time::sleep(QUIET).await;
    let quiet = Latencies::new(neighbour.noticed());
    let before = Held::settled(|_| true).await;

    let mut table = Table::new(&quiet);
    // Compiling is nobody's attack, and the program does it in processes of their own.
    let mut compiling = Vec::new();
    for class in Class::ALL {
        let cases = CASES.iter().filter(|case| case.class == class);
        let mut loaded = Vec::new();
        let mut longest_fill = Duration::ZERO;
        for case in cases {
            longest_fill = longest_fill.max(case.fill());
            if let Some(attack) = ground.load(case) {
                attack.compile().await;
                loaded.push((case, attack));
            }
        }
        compiling.extend(neighbour.noticed());
        let mut began = Instant::now();
        for (case, loaded) in &loaded {
            let times = rounds().unwrap_or(1) * class.storm();
            wrong.extend(attack(&ground, case, loaded, times).await);
        }
        let allowed = table.allowed(longest_fill);
        let mut again = loaded.iter().cycle();
        let mut windows = Vec::new();
        for _ in 0..rounds().map_or(1, |_| WINDOWS) {
            while began.elapsed() < rounds().map_or(CLASS, |_| WINDOW)
                && let Some((case, loaded)) = again.next()
            {
                wrong.extend(attack(&ground, case, loaded, 1).await);
            }
            let window = Latencies::new(neighbour.noticed());
            let is_enough = window.within(allowed);
            windows.push(window);
            if is_enough {
                break;
            }
            began = Instant::now();
        }
        // One without a call says nothing.
        windows.sort_by_key(|window| window.percentile(99).unwrap_or(Duration::MAX));
        table.row(class, loaded.len(), allowed, &windows[0]);
    }
    table.line("(compiling)", 0, &Latencies::new(compiling), None);

    let after = Held::settled(|held| {
        held.resident <= before.resident + MARGIN && held.descriptors <= before.descriptors
    })
    .await;
    neighbour.end();
    assert!(!ground.was_reached(), "somebody connected to this machine");
    table.print(&before, &after);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        after.descriptors <= before.descriptors,
        "descriptors stayed open: {before:?}, {after:?}"
    );
    assert!(
        after.resident <= before.resident + MARGIN,
        "memory was not given back: {before:?}, {after:?}"
    );
    assert!(after.threads <= before.threads + 8, "{before:?}, {after:?}");
    if rounds().is_some() {
        assert_eq!(
            table.late, [""; 0],
            "the neighbour waited longer than it may"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_attacks_at_once_leave_room_for_others() {
    let _beside_others = ALONE.read().await;
    let ground = Arc::new(Ground::new(&Options::uncached()));
    let case = CASES
        .iter()
        .find(|case| case.name == "loop-execute")
        .unwrap();
    let attack = Arc::new(ground.load(case).unwrap());
    let neighbour = Neighbour::begin(&ground).await;
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..CROWD {
        let (ground, attack) = (Arc::clone(&ground), Arc::clone(&attack));
        crowd.spawn(async move { ground.run_step(case, &attack, &Arc::default()).await });
    }
    neighbour.noticed();
    let mut stopped = 0;
    while let Some(ended) = crowd.join_next().await {
        let ended = ended.unwrap();
        // At its own limit, or because there are too many of its kind already.
        assert!(
            matches!(ended, Ended::Failed(CallError::Limit { .. })),
            "{ended:?}"
        );
        stopped += 1;
    }
    assert_eq!(stopped, CROWD);
    let noticed = Latencies::new(neighbour.noticed());
    neighbour.end();
    println!(
        "beside {CROWD} loops at once: {} calls, p99 {:?}",
        noticed.count(),
        noticed.percentile(99)
    );
    assert!(noticed.count() > 0, "nobody else was served");
}

/// Runs an attack so many times; each time it must end as the table of cases says. Says what
/// is wrong with the first that does not.
async fn attack(ground: &Ground, case: &Case, loaded: &Attack, times: u32) -> Option<String> {
    for _ in 0..times {
        let watcher = Arc::new(Watcher::default());
        let ended = ground.run(case, loaded, &watcher).await;
        if let Err(wrong) = case.expected.check(&ended) {
            let ended: String = format!("{ended:?}").chars().take(MOST_SHOWN).collect();
            return Some(format!("{}: {wrong}, and it ended with {ended}", case.name));
        }
        let (lines, bytes) = (
            watcher.lines.load(Ordering::Relaxed),
            watcher.bytes.load(Ordering::Relaxed),
        );
        if lines > MOST_LINES || bytes > MOST_LOGGED {
            return Some(format!(
                "{}: {lines} lines of {bytes} bytes were logged",
                case.name
            ));
        }
    }
    None
}

/// Of the table, in the form of `docs/benchmarks.md`.
const HEAD: &str =
    "| class | attacks | calls | p50, ms | p99, ms | most, ms | may be, ms | held, MiB |";

/// What the neighbour noticed, by class.
struct Table {
    quiet: Duration,
    lines: Vec<String>,
    late: Vec<String>,
}

impl Table {
    fn new(quiet: &Latencies) -> Self {
        let p99 = quiet.percentile(99).unwrap();
        let mut table = Self {
            quiet: p99,
            lines: vec![HEAD.to_owned(), "|---".repeat(8) + "|"],
            late: Vec::new(),
        };
        table.line("(quiet)", 0, quiet, Some(p99));
        table
    }

    fn line(&mut self, name: &str, attacks: usize, calls: &Latencies, allowed: Option<Duration>) {
        let shown = |time: Option<Duration>| {
            time.map_or_else(
                || "-".to_owned(),
                |time| format!("{:.2}", time.as_secs_f64() * 1e3),
            )
        };
        let ms = |hundredths| shown(calls.percentile(hundredths));
        self.lines.push(format!(
            "| {name} | {attacks} | {} | {} | {} | {} | {} | {} |",
            calls.count(),
            ms(50),
            ms(99),
            ms(100),
            shown(allowed),
            Held::now().resident >> 10,
        ));
    }

    /// How long the neighbour may wait beside attacks that fill memory for so long in one go.
    fn allowed(&self, fill: Duration) -> Duration {
        self.quiet + 2 * TICK + fill
    }

    fn row(&mut self, class: Class, attacks: usize, allowed: Duration, calls: &Latencies) {
        let name = class.to_string();
        if !calls.within(allowed) {
            self.late.push(name.clone());
        }
        self.line(&name, attacks, calls, Some(allowed));
    }

    fn print(&self, before: &Held, after: &Held) {
        println!("a neighbour's calls beside each class of attacks:");
        for line in &self.lines {
            println!("{line}");
        }
        println!("before: {before:?}");
        println!("after:  {after:?}");
    }
}
