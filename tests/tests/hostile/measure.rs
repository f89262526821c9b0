//! What this process holds, by `/proc`.

use std::time::{Duration, Instant};

/// How long the process may take to give back what it does not need any more.
const SETTLE: Duration = Duration::from_secs(20);

/// What the process holds.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// Resident memory, KiB.
    pub resident: u64,
    /// Open file descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: u64,
}

impl Held {
    /// Now.
    pub fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let words = line.unwrap().split_whitespace().nth(1);
            words.unwrap().parse().unwrap()
        };
        Self {
            resident: number("VmRSS"),
            // The listing itself is one.
            descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count() - 1,
            threads: number("Threads"),
        }
    }

    /// Waits until `fine` says so, or gives what there is when it never did.
    pub async fn settled(fine: impl Fn(&Self) -> bool) -> Self {
        let until = Instant::now() + SETTLE;
        loop {
            give_back();
            let held = Self::now();
            if fine(&held) || Instant::now() > until {
                return held;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Has the allocator give back what nobody uses: after a GiB of content in blocks of 16 MiB,
/// glibc keeps some hundred MiB for the next, which nobody left there.
#[allow(unsafe_code, reason = "the C library's function has no safe wrapper")]
fn give_back() {
    unsafe extern "C" {
        /// malloc_trim(3)
        safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    malloc_trim(0);
}

/// Some latencies, ready to be asked.
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// Of these calls.
    pub fn new(mut calls: Vec<Duration>) -> Self {
        calls.sort_unstable();
        Self(calls)
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The latency that so many of a hundred do not exceed; none where there was no call.
    pub fn percentile(&self, hundredths: usize) -> Option<Duration> {
        let rank = (self.0.len() * hundredths).div_ceil(100).checked_sub(1)?;
        self.0.get(rank).copied()
    }

    /// Whether there were calls and 99 of a hundred took no longer than this.
    pub fn within(&self, most: Duration) -> bool {
        self.percentile(99).is_some_and(|p99| p99 <= most)
    }
}

#[test]
fn percentiles_are_ranks() {
    let ms = Duration::from_millis;
    let latencies = Latencies::new((1..=200).rev().map(ms).collect());
    assert_eq!(latencies.percentile(50), Some(ms(100)));
    assert_eq!(latencies.percentile(99), Some(ms(198)));
    assert_eq!(latencies.percentile(100), Some(ms(200)));
    assert!(latencies.within(ms(198)) && !latencies.within(ms(197)));
    assert_eq!(Latencies::new(Vec::new()).percentile(99), None);
    assert!(!Latencies::new(Vec::new()).within(ms(1)));
}

#[tokio::test]
async fn a_descriptor_that_stays_open_is_counted() {
    // Other tests open and close files of their own meanwhile; so many they do not.
    let before = Held::now();
    let files: Vec<_> = (0..200)
        .map(|_| std::fs::File::open("/dev/null").unwrap())
        .collect();
    let with = Held::now();
    assert!(with.descriptors >= before.descriptors + 100, "{with:?}");
    assert!(with.resident > 0 && with.threads > 0);
    drop(files);
}
