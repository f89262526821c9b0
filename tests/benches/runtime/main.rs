//! What running plugins costs: calls, limits, memory, swaps, the start of a host.
//!
//! **Problem.** Whoever puts strangers' code into a host wants to know what the sandbox
//! costs, beside doing without it (bare wasmtime) and beside the usual ways out (a process
//! for each call, a process that stays).
//!
//! **Design.** What is compared is taken in turn, in spells of a tenth of a second, five
//! rounds; a spell's figure is the median of its calls, the table's the median of its
//! spells, a ratio the median of each round's own ratio. Tables are printed as
//! `docs/benchmarks.md` holds them. Memory and starts are measured in processes of their
//! own ([`child`]), so that nothing that was done before is counted.
//!
//! `cargo bench -p cofferdam-tests --bench runtime -- [PART] [ROUNDS]` does one part.
//!
//! **Limits.** Whatever else the machine does is in the figures; the load is printed.
//! What device reads cost is in the bench `boundary` of the capabilities, what a neighbour
//! notices of attacks is printed by the tests `hostile`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a measuring program ends at the first thing that is wrong"
)]

mod calls;
mod child;
mod echo;
#[path = "../../../host/runtime/tests/guest/mod.rs"]
mod guest;
mod limits;
mod memory;
mod peers;
mod spells;
mod start;
mod swap;

use std::process::ExitCode;

/// The parts, in the order of the page.
const PARTS: [&str; 5] = ["calls", "limits", "memory", "swap", "start"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    if let Some(code) = child::main(&arguments) {
        return code;
    }
    let rounds = arguments.iter().find_map(|argument| argument.parse().ok());
    let rounds = rounds.unwrap_or(spells::ROUNDS);
    let named = |part: &str| arguments.iter().any(|argument| argument == part);
    let all = !PARTS.iter().any(|part| named(part));
    println!("{rounds} rounds; load before: {}", spells::load());
    for part in PARTS {
        if !all && !named(part) {
            continue;
        }
        println!();
        match part {
            "calls" => calls::measure(rounds),
            "limits" => limits::measure(rounds),
            "memory" => memory::measure(rounds),
            "swap" => swap::measure(rounds),
            _ => start::measure(rounds),
        }
    }
    println!("\nload after: {}", spells::load());
    ExitCode::SUCCESS
}
