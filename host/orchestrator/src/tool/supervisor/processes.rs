//! All that a process started, and its end.

use rustix::process::{Pid, Signal, WaitOptions, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long to go on killing what does not die (a process in the kernel may take a while).
const PATIENCE: Duration = Duration::from_secs(5);

/// Every process below `ancestor`, itself and the dead excluded (proc(5), `/proc/PID/stat`).
/// Empty where there is no /proc.
pub fn below(ancestor: Pid) -> Vec<Pid> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // A process that ended meanwhile has no stat any more.
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some(parent) = living_parent(&stat) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = BTreeSet::new();
    let mut open = vec![ancestor.as_raw_nonzero().get()];
    while let Some(parent) = open.pop() {
        for &child in children.get(&parent).into_iter().flatten() {
            if found.insert(child) {
                open.push(child);
            }
        }
    }
    found.into_iter().filter_map(Pid::from_raw).collect()
}

/// The parent of the process whose `stat` this is, unless it is dead. The name, second and
/// in parentheses, may itself hold spaces and parentheses.
fn living_parent(stat: &str) -> Option<i32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    // A zombie's children have been handed to somebody else already.
    (state != "Z" && state != "X").then_some(parent)
}

/// Sends a signal to each; one that is gone needs none.
pub fn signal(processes: &[Pid], signal: Signal) {
    for &process in processes {
        kill_process(process, signal).ok();
    }
}

/// Collects children that ended; whether `awaited` was among them.
pub fn reap(awaited: Pid) -> bool {
    let mut seen = false;
    while let Ok(Some((pid, _))) = rustix::process::wait(WaitOptions::NOHANG) {
        seen |= pid == awaited;
    }
    seen
}

/// Kills everything below this process until nothing is left; how many are, where some do
/// not die.
pub fn kill_all_below_self() -> usize {
    let me = rustix::process::getpid();
    let begun = Instant::now();
    loop {
        let left = below(me);
        if left.is_empty() || begun.elapsed() > PATIENCE {
            return left.len();
        }
        signal(&left, Signal::KILL);
        reap(me);
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines() {
        let cases = [
            ("7 (sh) S 3 7 7 0", Some(3)),
            ("7 (a) b) (c) R 12 7 7 0", Some(12)),
            ("7 (sh) Z 3 7 7 0", None),
            ("7 (sh", None),
            ("", None),
            ("7 (sh) S x", None),
        ];
        for (stat, expected) in cases {
            assert_eq!(living_parent(stat), expected, "{stat}");
        }
    }

    #[test]
    fn children_are_found_below_their_parent_until_they_end() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&child);
        assert!(below(rustix::process::getpid()).contains(&pid));
        assert!(!below(pid).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!below(rustix::process::getpid()).contains(&pid));
    }
}
