//! Asking somebody at the terminal whether a step may do what it plans.

use super::show::Show;
use crate::cli::{Follow, Output};
use crate::render::run::plan_lines;
use cofferdam_store::Approval;
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
pub enum Asking {
    /// Everything is approved.
    Yes,
    /// Somebody sits at the terminal.
    Terminal,
    /// Nobody.
    Nobody,
}

impl Asking {
    /// By the command line, and by whether there is a terminal on both sides.
    pub fn new(options: &Follow, output: Output) -> Self {
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        match options {
            Follow { yes: true, .. } => Self::Yes,
            Follow { no_wait: true, .. } => Self::Nobody,
            _ if terminal && output == Output::Text => Self::Terminal,
            _ => Self::Nobody,
        }
    }

    /// Decides about a plan.
    pub async fn about(self, approval: &Approval, show: &mut Show) -> Answer {
        match self {
            Self::Yes => Answer::Approve,
            Self::Nobody => Answer::Later,
            Self::Terminal => {
                show.clear();
                for line in plan_lines(approval) {
                    eprintln!("{line}");
                }
                // Reading a line cannot be waited for without a thread.
                tokio::task::spawn_blocking(prompt)
                    .await
                    .unwrap_or(Answer::Later)
            }
        }
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
        assert_eq!(Asking::new(&follow(true, false), Output::Json), Asking::Yes);
        assert_eq!(
            Asking::new(&follow(false, true), Output::Text),
            Asking::Nobody
        );
        assert_eq!(
            Asking::new(&follow(false, false), Output::Json),
            Asking::Nobody
        );
    }
}
