//! Medians of what is taken in turn.

use std::time::Duration;

/// Rounds of a table.
pub const ROUNDS: usize = 5;

/// How long one way is repeated in a round.
pub const SPELL: Duration = Duration::from_millis(100);

/// Repeats an expression for one spell; gives the median time of one.
macro_rules! spell {
    ($call:expr) => {{
        let mut took = Vec::new();
        let began = std::time::Instant::now();
        while began.elapsed() < $crate::spells::SPELL {
            let at = std::time::Instant::now();
            $call;
            took.push(at.elapsed());
        }
        $crate::spells::median(took)
    }};
}
pub(crate) use spell;

/// The middle one.
pub fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values[values.len() / 2]
}

/// One way of doing something: a figure for each round.
pub struct Way {
    pub name: &'static str,
    pub rounds: Vec<Duration>,
}

impl Way {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            rounds: Vec::new(),
        }
    }

    /// Its median, microseconds.
    pub fn micros(&self) -> f64 {
        median(self.rounds.clone()).as_secs_f64() * 1e6
    }

    /// How many times the other it takes: the median of the rounds' ratios.
    pub fn times(&self, other: &Self) -> f64 {
        let both = self.rounds.iter().zip(&other.rounds);
        median(
            both.map(|(own, other)| own.as_secs_f64() / other.as_secs_f64())
                .collect(),
        )
    }

    /// What it takes beyond the other, nanoseconds: the median of the rounds' differences.
    pub fn beyond(&self, other: &Self) -> f64 {
        let both = self.rounds.iter().zip(&other.rounds);
        median(
            both.map(|(own, other)| (own.as_secs_f64() - other.as_secs_f64()) * 1e9)
                .collect(),
        )
    }
}

/// A row of a table.
pub fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// The head of a table.
pub fn head(cells: &[&str]) {
    println!("| {} |", cells.join(" | "));
    println!("|{}", "---|".repeat(cells.len()));
}

/// Processes that ran or waited to run, over the last 1, 5 and 15 minutes.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap();
    text.split_whitespace()
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}
