//! What was asked and answered in one call, in the order in which it began.

use crate::filters::Redact;
use crate::recording::{
    Answer, Ask, Cleaner, End, Ended, Exchange, Header, MOST_EXCHANGES, Sink, Wire, answer_of,
};
use cofferdam_contract::types::Error;
use serde_json::{Value, json};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) struct Tape {
    header: Header,
    state: Mutex<State>,
}

struct State {
    /// None when the recording has ended, or could not be written.
    sink: Option<Sink>,
    fault: Option<io::Error>,
    exchanges: Vec<Exchange>,
    /// Uses of services that only tell people something, which a replay does not count.
    telling: usize,
    cancelled_after: Option<usize>,
    cleaner: Cleaner,
}

impl State {
    /// Gives up where writing failed.
    fn check(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.sink = None;
            self.fault = Some(error);
            self.exchanges = Vec::new();
        }
    }
}

impl Tape {
    pub(crate) fn new(folder: &Path, header: Header, redact: Arc<dyn Redact>) -> io::Result<Self> {
        Ok(Self {
            header,
            state: Mutex::new(State {
                sink: Some(Sink::new(folder)?),
                fault: None,
                exchanges: Vec::new(),
                telling: 0,
                cancelled_after: None,
                cleaner: Cleaner::new(redact),
            }),
        })
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what is asked, and returns its place.
    pub(crate) fn asked(&self, mut ask: Ask) -> usize {
        let state = &mut *self.state();
        let place = state.exchanges.len();
        let Some(sink) = &mut state.sink else {
            return place;
        };
        let written = match ask.block_mut() {
            _ if place >= MOST_EXCHANGES => Err(io::Error::other(format!(
                "it has more than {MOST_EXCHANGES} uses of services"
            ))),
            Some(block) => {
                let written = sink.block(block);
                block.content = None;
                written
            }
            None => Ok(()),
        };
        state.telling += usize::from(ask.is_telling());
        state.exchanges.push(Exchange { ask, answer: None });
        state.check(written);
        place
    }

    /// Writes down the answer to what was asked at a place.
    pub(crate) fn answered<T: Wire>(&self, place: usize, result: &Result<T, Error>) {
        self.put(place, answer_of(result));
    }

    /// Writes down that a secret was given, and takes care that its value is not.
    pub(crate) fn answered_with_secret(
        &self,
        place: usize,
        name: &str,
        result: &Result<Vec<u8>, Error>,
    ) {
        if let Ok(value) = result {
            self.state().cleaner.remember(name, value);
        }
        let answer = result.as_ref().map_err(Clone::clone);
        self.put(
            place,
            answer.map(|_| Answer::Secret(Cleaner::stands_for(name))),
        );
    }

    fn put(&self, place: usize, mut answer: Result<Answer, Error>) {
        let state = &mut *self.state();
        let Some(sink) = &mut state.sink else {
            return;
        };
        let block = answer.as_mut().ok().and_then(Answer::block_mut);
        let written = block.map_or(Ok(()), |block| {
            let written = sink.block(block);
            block.content = None;
            written
        });
        if let Some(exchange) = state.exchanges.get_mut(place) {
            exchange.answer = Some(answer);
        }
        state.check(written);
    }

    /// The run was seen as cancelled.
    pub(crate) fn cancelled(&self) {
        let mut state = self.state();
        let so_far = state.exchanges.len().saturating_sub(state.telling);
        state.cancelled_after.get_or_insert(so_far);
    }

    /// Writes the rest; the file gets its name.
    pub(crate) fn finish(&self, ended: Ended, name: &str) -> io::Result<()> {
        let mut state = self.state();
        if let Some(fault) = state.fault.take() {
            return Err(fault);
        }
        let Some(mut sink) = state.sink.take() else {
            return Ok(());
        };
        let exchanges = std::mem::take(&mut state.exchanges);
        let end = End {
            ended,
            cancelled_after: state.cancelled_after,
        };
        let mut line = |mut value: Value| {
            state.cleaner.value(&mut value);
            sink.line(&value)
        };
        line(json!({ "call": self.header }))?;
        for exchange in exchanges {
            line(serde_json::to_value(exchange)?)?;
        }
        line(json!({ "end": end }))?;
        sink.finish(name).map(|_| ())
    }
}
