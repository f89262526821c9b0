//! `cofferdam:runtime/context`: the call that is going on.
//!
//! Log lines are cut at 8 KiB and a call has a budget of them: a plugin that logs in a
//! loop fills neither the disk nor the terminal. What was dropped is said once, when the
//! next call begins or the instance goes.

use crate::host::{Host, capability};
use cofferdam_contract::bindings::cofferdam::runtime::context;
use cofferdam_contract::services;
use cofferdam_contract::types::{Level, Timestamp};
use std::sync::Arc;

capability!(
    ContextCapability,
    "cofferdam:runtime/context@0.1.0",
    cofferdam_contract::bindings::cofferdam::runtime::context
);

/// The longest log line, its fields together counted as another.
const MOST_LINE: usize = 8 << 10;

/// The most fields of a line.
const MOST_FIELDS: usize = 32;

/// What one call may log, bytes; each line counts at least [`LINE_COST`].
const MOST_LOGGED: usize = 256 << 10;

/// What a line costs beside its text.
const LINE_COST: usize = 64;

/// The longest name of a progress unit.
const MOST_UNIT: usize = 32;

/// How much one instance has logged in the call going on.
struct LogBudget {
    context: Arc<dyn services::Context>,
    plugin: String,
    call: u64,
    left: usize,
    dropped: u64,
}

impl LogBudget {
    /// Takes a line from the budget, or counts it as dropped.
    fn take(&mut self, call: u64, bytes: usize) -> bool {
        if self.call != call {
            self.say_what_was_dropped();
            self.call = call;
            self.left = MOST_LOGGED;
        }
        match self.left.checked_sub(bytes.saturating_add(LINE_COST)) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.left = 0;
                self.dropped = self.dropped.saturating_add(1);
                false
            }
        }
    }

    fn say_what_was_dropped(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            let message = format!(
                "{dropped} log lines were dropped: one call may log {} KiB",
                MOST_LOGGED >> 10
            );
            self.context.log(&self.plugin, Level::Warn, &message, &[]);
        }
    }
}

impl Drop for LogBudget {
    fn drop(&mut self) {
        self.say_what_was_dropped();
    }
}

/// Cuts a text at a character's border.
fn cut(text: &mut String, most: usize) {
    let end = text.floor_char_boundary(most);
    text.truncate(end);
}

fn cut_fields(fields: &mut Vec<(String, String)>) {
    fields.truncate(MOST_FIELDS);
    let mut left = MOST_LINE;
    for (key, value) in fields {
        for text in [key, value] {
            cut(text, left);
            left -= text.len();
        }
    }
}

impl context::Host for Host<'_> {
    async fn run_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.0.context().run_id())
    }

    async fn deadline(&mut self) -> wasmtime::Result<Option<u32>> {
        let left = self.0.time_left();
        Ok(left.map(|left| u32::try_from(left.as_millis()).unwrap_or(u32::MAX)))
    }

    async fn cancelled(&mut self) -> wasmtime::Result<bool> {
        Ok(self.0.context().cancelled())
    }

    async fn now(&mut self) -> wasmtime::Result<Timestamp> {
        Ok(self.0.context().now())
    }

    async fn progress(&mut self, done: u64, total: u64, mut unit: String) -> wasmtime::Result<()> {
        cut(&mut unit, MOST_UNIT);
        let state = &*self.0;
        state.context().progress(state.plugin(), done, total, &unit);
        Ok(())
    }

    async fn log(
        &mut self,
        level: Level,
        mut message: String,
        mut fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        cut(&mut message, MOST_LINE);
        cut_fields(&mut fields);
        let in_fields: usize = fields
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        let call = self.0.call_number();
        let context = Arc::clone(self.0.context());
        let plugin = self.0.plugin().to_owned();
        if self.0.extensions().get::<LogBudget>().is_none() {
            self.0.extensions_mut().insert(LogBudget {
                context: Arc::clone(&context),
                plugin: plugin.clone(),
                call,
                left: MOST_LOGGED,
                dropped: 0,
            });
        }
        let granted = self
            .0
            .extensions_mut()
            .get_mut::<LogBudget>()
            .is_some_and(|budget| budget.take(call, message.len() + in_fields));
        if granted {
            context.log(&plugin, level, &message, &fields);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        let mut text = "aé".to_owned();
        cut(&mut text, 2);
        assert_eq!(text, "a");
        let mut fields = vec![("k".to_owned(), "v".repeat(MOST_LINE)); MOST_FIELDS + 1];
        cut_fields(&mut fields);
        assert_eq!(fields.len(), MOST_FIELDS);
        let all: usize = fields
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        assert_eq!(all, MOST_LINE);
    }
}
