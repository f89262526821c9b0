//! Asking somebody at the terminal whether a step may do what it plans.

use super::show::Show;
use crate::cli::{Follow, Output};
use crate::render::run::plan_lines;
use cofferdam_store::Approval;
use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Write};

/// What to do about a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Carry it out.
    Approve,
    /// Do not; the step fails.
    Reject,
    /// Nobody here decides.
    Later,
}

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Everything is approved.
    Yes,
    /// Somebody sits at the terminal.
    Terminal,
    /// Nobody.
    Nobody,
}

/// Asks about each plan once.
#[derive(Debug)]
pub struct Asking {
    who: Who,
    /// Digests of the plans that were left open.
    left: BTreeSet<String>,
}

impl Asking {
    /// By the command line, and by whether there is a terminal on both sides.
    pub fn new(options: &Follow, output: Output) -> Self {
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        let who = match options {
            Follow { yes: true, .. } => Who::Yes,
            Follow { no_wait: true, .. } => Who::Nobody,
            _ if terminal && output == Output::Text => Who::Terminal,
            _ => Who::Nobody,
        };
        Self {
            who,
            left: BTreeSet::new(),
        }
    }

    /// Decides about a plan.
    pub async fn about(&mut self, approval: &Approval, show: &mut Show) -> Answer {
        match self.who {
            Who::Yes => Answer::Approve,
            Who::Nobody => Answer::Later,
            Who::Terminal if self.left.contains(&approval.digest) => Answer::Later,
            Who::Terminal => {
                show.clear();
                for line in plan_lines(approval) {
                    eprintln!("{line}");
                }
                // Reading a line cannot be waited for without a thread.
                let answer = tokio::task::spawn_blocking(prompt)
                    .await
                    .unwrap_or(Answer::Later);
                match answer {
                    Answer::Later => self.leave(approval),
                    answer => answer,
                }
            }
        }
    }

    /// Leaves the question open, and does not ask again.
    pub fn leave(&mut self, approval: &Approval) -> Answer {
        self.left.insert(approval.digest.clone());
        Answer::Later
    }
}

fn prompt() -> Answer {
    loop {
        eprint!("approve? [y]es, [n]o: reject, [l]ater: leave it waiting: ");
        let mut answer = String::new();
        let read = std::io::stderr()
            .flush()
            .and_then(|()| std::io::stdin().lock().read_line(&mut answer));
        match (read, answer.trim().to_lowercase().as_str()) {
            (Err(_) | Ok(0), _) | (_, "l" | "later") => return Answer::Later,
            (_, "y" | "yes") => return Answer::Approve,
            (_, "n" | "no") => return Answer::Reject,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_nobody_is_asked() {
        let follow = |yes, no_wait| Follow {
            yes,
            no_wait,
            ..Follow::default()
        };
        for (yes, no_wait, output, expected) in [
            (true, false, Output::Json, Who::Yes),
            (false, true, Output::Text, Who::Nobody),
            (false, false, Output::Json, Who::Nobody),
        ] {
            let asking = Asking::new(&follow(yes, no_wait), output);
            assert_eq!(asking.who, expected);
        }
    }
}
