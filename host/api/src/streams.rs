//! How many long answers are open.

use crate::options::ApiOptions;
use crate::problem::{Code, Problem};
use axum::http::StatusCode;
use cofferdam_orchestrator::identity::{Actor, Via};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts event streams and WebSockets, all and by token. Local callers count among all
/// only.
pub struct StreamSlots {
    open: Mutex<Open>,
    most: usize,
    most_per_token: usize,
}

#[derive(Default)]
struct Open {
    all: usize,
    tokens: HashMap<String, usize>,
}

impl StreamSlots {
    /// None open yet.
    pub fn new(options: &ApiOptions) -> Self {
        Self {
            open: Mutex::default(),
            most: options.max_streams,
            most_per_token: options.max_streams_per_token,
        }
    }

    /// One more, until the slot is dropped.
    pub fn take(self: &Arc<Self>, actor: &Actor) -> Result<StreamSlot, Problem> {
        let token = match &actor.via {
            Via::Token(id) => Some(id.clone()),
            Via::Local => None,
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_token = match &token {
            Some(id) => open.tokens.get(id).copied().unwrap_or(0),
            None => 0,
        };
        if open.all >= self.most {
            return Err(Problem::new(
                Code::Unavailable,
                format!("{} event streams are open, which is the most", self.most),
            )
            .retry_after(30));
        }
        if of_token >= self.most_per_token {
            return Err(Problem::with_status(
                StatusCode::TOO_MANY_REQUESTS,
                Code::Limit,
                format!(
                    "this token has {} event streams open, which is the most",
                    self.most_per_token
                ),
            )
            .hint("close some, or follow all runs with one stream of /api/v1/events")
            .retry_after(30));
        }
        open.all += 1;
        if let Some(id) = &token {
            open.tokens.insert(id.clone(), of_token + 1);
        }
        drop(open);
        Ok(StreamSlot {
            slots: Arc::clone(self),
            token,
        })
    }
}

/// The right to one stream.
pub struct StreamSlot {
    slots: Arc<StreamSlots>,
    token: Option<String>,
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut open = self
            .slots
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.all = open.all.saturating_sub(1);
        if let Some(id) = &self.token
            && let Some(count) = open.tokens.get_mut(id)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.tokens.remove(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_back_and_both_limits_hold() {
        let slots = Arc::new(StreamSlots::new(&ApiOptions {
            max_streams: 3,
            max_streams_per_token: 2,
            ..ApiOptions::default()
        }));
        let one = Actor::with_token("anna", "tok-1", None);
        let first = slots.take(&one).unwrap();
        let second = slots.take(&one).unwrap();
        assert_eq!(slots.take(&one).err().unwrap().status, 429);
        let local = slots.take(&Actor::local("root")).unwrap();
        let other = Actor::with_token("ben", "tok-2", None);
        assert_eq!(slots.take(&other).err().unwrap().status, 503);
        drop(first);
        let third = slots.take(&other).unwrap();
        drop((second, local, third));
        let open = slots.open.lock().unwrap();
        assert_eq!((open.all, open.tokens.len()), (0, 0));
    }
}
