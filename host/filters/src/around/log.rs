//! `log`: a line of the run's log for each call. What was said in the call is not in it, also
//! not an error's message: that may hold what the plugin read.

use super::{Around, Calling, Outcome};
use crate::code::Code;
use async_trait::async_trait;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::types::Level;
use std::time::Duration;

pub(crate) struct Log(pub(crate) Level);

fn outcome(error: &CallError) -> String {
    match error {
        CallError::Returned { error, .. } => Code::from(error.code).name().to_owned(),
        CallError::Limit { limit, .. } => format!("limit of {limit}"),
        CallError::Trapped { .. } => "trapped".to_owned(),
        CallError::Nonsense { .. } => "nonsense".to_owned(),
        CallError::Cancelled { .. } => "cancelled".to_owned(),
        CallError::Host { .. } => "host failed".to_owned(),
    }
}

#[async_trait]
impl Around for Log {
    fn after(&self, calling: &Calling<'_>, ended: Outcome<'_>, took: Duration) {
        let (outcome, received) = match ended {
            Outcome::Done(bytes) => ("ok".to_owned(), bytes),
            Outcome::Failed(error) => (outcome(error), 0),
            Outcome::Abandoned => ("abandoned".to_owned(), 0),
        };
        let message = format!("call {}: {outcome}", calling.function);
        let fields = [
            ("function", calling.function.to_owned()),
            ("outcome", outcome),
            (
                "milliseconds",
                format!("{:.3}", took.as_secs_f64() * 1_000.0),
            ),
            ("bytes-sent", calling.sent.to_string()),
            ("bytes-received", received.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        calling
            .context
            .log(calling.plugin, self.0, &message, &fields);
    }
}
