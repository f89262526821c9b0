//! The host out of a recording: what is asked has to be what was asked, in its order.

use super::divergence::Divergence;
use crate::recording::{Answer, Ask, End, Exchange, Recording, Wire};
use cofferdam_contract::types::{Error, ErrorCode};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The services of a recorded call.
pub(crate) struct Script {
    exchanges: Vec<Exchange>,
    end: End,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: usize,
    divergence: Option<Divergence>,
    /// The plugin went where the recording does not go.
    left: bool,
}

impl Script {
    /// Of what was recorded, less what only told people something.
    pub(crate) fn new(recording: &Recording) -> Self {
        let compared = recording.exchanges.iter();
        Self {
            exchanges: compared
                .filter(|exchange| !exchange.ask.is_telling())
                .cloned()
                .collect(),
            end: recording.end.clone(),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The recorded answer, if this is what was asked next.
    pub(crate) fn answer<T: Wire>(&self, ask: &Ask) -> Result<T, Error> {
        let answer = self.next(ask)?;
        T::from_answer(answer).ok_or_else(|| {
            let (function, _) = ask.parts();
            Error::new(
                ErrorCode::Corrupt,
                format!("the recording answers {function} with something else"),
            )
        })
    }

    fn next(&self, ask: &Ask) -> Result<Answer, Error> {
        let mut state = self.state();
        if state.left {
            return Err(left());
        }
        if state.divergence.is_some() {
            return Err(over("it has diverged from its recording"));
        }
        match self.exchanges.get(state.next) {
            Some(exchange) if exchange.ask == *ask => {
                let Some(answer) = &exchange.answer else {
                    return Err(over("the recorded call ended here"));
                };
                state.next += 1;
                answer.clone()
            }
            None if self.end.ended.is_by_time() => Err(over("the recorded call ended here")),
            recorded => {
                let mut expected = recorded.map(|exchange| exchange.ask.clone());
                let mut got = ask.clone();
                state.divergence =
                    Some(Divergence::of_asks(state.next, expected.as_mut(), &mut got));
                Err(over("it has diverged from its recording"))
            }
        }
    }

    /// Whether the run was cancelled at this place.
    pub(crate) fn is_cancelled(&self) -> bool {
        let after = self.end.cancelled_after;
        after.is_some_and(|after| self.state().next >= after)
    }

    /// The call goes on where there is no recording: nothing is compared any more. Returns what
    /// the plugin is told.
    pub(crate) fn leave(&self) -> Error {
        self.state().left = true;
        left()
    }

    /// Whether it went on where there is no recording.
    pub(crate) fn has_left(&self) -> bool {
        self.state().left
    }

    /// How many uses of services were the same.
    pub(crate) fn so_far(&self) -> usize {
        self.state().next
    }

    /// The first difference, if there was one.
    pub(crate) fn divergence(&self) -> Option<Divergence> {
        self.state().divergence.clone()
    }

    /// What was recorded and did not happen again.
    pub(crate) fn missing(&self) -> Option<Exchange> {
        self.exchanges.get(self.so_far()).cloned()
    }
}

fn left() -> Error {
    over("what servers answer is not in a recording, and nothing is sent")
}

/// What a plugin is told when there is nothing to tell it any more.
fn over(why: &str) -> Error {
    Error::new(ErrorCode::Cancelled, format!("the replay is over: {why}"))
}
