//! A clock of the calling thread's CPU time that is cheap to read.
//!
//! **Problem.** The kernel's own costs a system call, more than half a microsecond, and a call
//! of a plugin that takes five would read it twice. The monotonic clock costs a tenth.
//!
//! **Design.** The clock moves at each reading ([`read`]). After a short time it moves by the
//! wall clock, as if the thread had run all the while. After a longer one the kernel is asked,
//! and the clock moves by the time of the thread since the kernel was asked last, or by the
//! wall clock if that is less. Either is at least what the thread used since the last reading,
//! so that nobody is charged too little, however the readings are spaced.
//!
//! **Limits.** Somebody may be charged too much: up to [`SHORT`] where the thread was
//! interrupted in a short time, and up to [`FRESH`] in a longer one. Differences mean
//! something between readings on one thread only.

use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;

/// Readings that are less apart are taken for running, in nanoseconds.
const SHORT: u64 = 50_000;
/// How old what the kernel said may be, in nanoseconds.
const FRESH: u64 = 500_000;

#[derive(Clone, Copy, Default)]
struct Clock {
    /// What was read last.
    reading: u64,
    /// The monotonic clock then.
    wall: u64,
    /// The monotonic clock and the thread's CPU time when the kernel was asked last.
    asked: (u64, u64),
}

thread_local! {
    static CLOCK: Cell<Clock> = const { Cell::new(Clock { reading: 0, wall: 0, asked: (0, 0) }) };
}

impl Clock {
    /// Moves to `wall`; `used` asks the kernel.
    fn moved(mut self, wall: u64, used: impl FnOnce() -> u64) -> Self {
        let passed = wall.saturating_sub(self.wall);
        let (asked, known) = self.asked;
        let step = if passed < SHORT && wall.saturating_sub(asked) < FRESH {
            passed
        } else {
            let used = used();
            self.asked = (wall, used);
            passed.min(used.saturating_sub(known))
        };
        self.reading = self.reading.saturating_add(step);
        self.wall = wall;
        self
    }
}

/// The thread's clock now, in nanoseconds.
pub(crate) fn read() -> u64 {
    let clock = CLOCK.get().moved(nanoseconds(ClockId::Monotonic), exact);
    CLOCK.set(clock);
    clock.reading
}

/// The thread's CPU time as the kernel has it, in nanoseconds.
pub(crate) fn exact() -> u64 {
    nanoseconds(ClockId::ThreadCPUTime)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the thread does between readings, running or not, the clock moves by no
        /// less than what it used and by no more than what passed, and at most [`FRESH`] and
        /// what was short beyond the truth in one step.
        #[test]
        fn nobody_is_charged_too_little(
            steps in prop::collection::vec((0_u64..2_000_000, 0_u64..=100), 1..200)
        ) {
            let (mut wall, mut used) = (7_u64, 3_u64);
            let mut clock = Clock::default().moved(wall, || used);
            for (passed, share) in steps {
                let ran = passed * share / 100;
                wall += passed;
                used += ran;
                let before = clock.reading;
                clock = clock.moved(wall, || used);
                let charged = clock.reading - before;
                prop_assert!(charged >= ran, "{charged} for {ran}");
                prop_assert!(charged <= passed, "{charged} in {passed}");
                prop_assert!(charged <= ran + FRESH + SHORT, "{charged} for {ran}");
            }
        }
    }

    #[test]
    fn it_moves_with_the_thread() {
        let (began, truth) = (read(), exact());
        while exact() < truth + 5_000_000 {}
        assert!(read() - began >= 5_000_000);
        let (before, truth) = (read(), exact());
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(read() - before <= exact() - truth + FRESH + SHORT);
    }
}
