//! `cofferdam:runtime/context`: the call that is going on.
//!
//! Log lines are cut at 8 KiB, and there are limits of bytes by call and of lines by second:
//! a plugin that logs in a loop fills neither the disk nor the terminal. What was dropped is
//! said once, when a later call drops again or the instance goes.

use crate::host::{Host, capability};
use cofferdam_contract::bindings::cofferdam::runtime::context;
use cofferdam_contract::failure::Limit;
use cofferdam_contract::limits::Limits;
use cofferdam_contract::services;
use cofferdam_contract::types::{Level, Timestamp};
use std::collections::BTreeMap;
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

/// The longest name of a progress unit.
const MOST_UNIT: usize = 32;

/// What was dropped of the log of one instance and is not said yet.
struct Dropped {
    context: Arc<dyn services::Context>,
    plugin: String,
    call: u64,
    lines: BTreeMap<Limit, u64>,
    limits: Limits,
}

impl Dropped {
    fn count(&mut self, call: u64, limit: Limit) {
        if self.call != call {
            self.say();
            self.call = call;
        }
        let lines = self.lines.entry(limit).or_default();
        *lines = lines.saturating_add(1);
    }

    fn say(&mut self) {
        for (limit, lines) in std::mem::take(&mut self.lines) {
            let allowed = self.limits.row(limit).map(|row| row.allowed());
            let message = format!(
                "{lines} log lines were dropped: the plugin may log {} ({limit})",
                allowed.unwrap_or_default()
            );
            self.context.log(&self.plugin, Level::Warn, &message, &[]);
        }
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.say();
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
        let Err(limit) = self.0.charge_log(message.len() + in_fields) else {
            context.log(&plugin, level, &message, &fields);
            return Ok(());
        };
        let limits = *self.0.limits();
        let extensions = self.0.extensions_mut();
        if extensions.get::<Dropped>().is_none() {
            extensions.insert(Dropped {
                context,
                plugin,
                call,
                lines: BTreeMap::new(),
                limits,
            });
        }
        if let Some(dropped) = extensions.get_mut::<Dropped>() {
            dropped.count(call, limit);
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
