//! Following what happens, without a gap and without a repetition.
//!
//! **Problem.** A client wants to see events and log lines as they come, may be slow, may
//! come back after an hour, and must not make the host keep anything for it.
//!
//! **Design.** The store is the truth: a follower remembers the ids up to which it has
//! shown everything ([`Position`]) and reads on from there in bounded batches. The
//! orchestrator's broadcast only says that reading is worthwhile, so that notices that
//! come out of order, or were missed by a reader that lagged, make no difference. What is
//! not kept, progress, is passed on as it comes and lost to whoever lags.
//! What the caller may see is asked before each read, and every few seconds whatever
//! happens: a token that counts no more ends the stream, and so does the end of the last
//! role or grant by which something of it could be read. A stream over several projects
//! goes on with those that remain.
//!
//! **Limits.** Log lines are followed of one run at a time.

use crate::access::{readable_run, require_readable};
use crate::auth::Caller;
use crate::problem::{Code, Problem};
use crate::state::ApiState;
use cofferdam_orchestrator::identity::project_or_every;
use cofferdam_orchestrator::runs::Notice;
use cofferdam_store::{Event, EventFilter, LogFilter, LogLine, Role, journal_of};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::Instant;
use utoipa::ToSchema;

/// How many entries are read from the store at once.
const BATCH: u32 = 256;
/// How long the caller's rights go without being looked at.
const RECHECK: Duration = Duration::from_secs(5);

/// How far a client has seen events and log lines. As text, in SSE ids: `EVENT`, or
/// `EVENT.LOG`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Position {
    /// The id of the last event seen; 0 before the first.
    #[schema(minimum = 0)]
    pub event: i64,
    /// The id of the last log line seen; 0 before the first.
    #[schema(minimum = 0)]
    pub log: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.log {
            0 => write!(f, "{}", self.event),
            log => write!(f, "{}.{log}", self.event),
        }
    }
}

impl FromStr for Position {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let number = |digits: &str| {
            let fine = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            fine.then(|| digits.parse::<i64>().ok()).flatten()
        };
        let (event, log) = text.split_once('.').unwrap_or((text, "0"));
        match (number(event), number(log)) {
            (Some(event), Some(log)) => Ok(Self { event, log }),
            _ => Err(
                Problem::bad_request(format!("{text:?} is no id of an event of this API"))
                    .hint("send the id of the last event received, or none to begin at the first"),
            ),
        }
    }
}

/// What a client wants to see.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// One run, or all that the caller may see.
    pub run: Option<String>,
    /// One installed plugin, and no run.
    pub plugin: Option<String>,
    /// One project, or all that the caller may see.
    pub project: Option<String>,
    /// Kinds of events; empty for all. A kind that ends in a dot means all that begin so.
    pub kinds: Vec<String>,
    /// Log lines of the run too.
    pub logs: bool,
    /// Progress too.
    pub progress: bool,
}

/// How far a step is, for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// The run.
    pub run: String,
    /// The step.
    pub step: String,
    /// What is being done: a plugin's id, or a part of the step.
    pub what: String,
    /// How much is done.
    pub done: u64,
    /// How much there is; 0 where that is not known.
    pub total: u64,
    /// What is counted.
    pub unit: String,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Item {
    /// An entry of the journal, and the position after it.
    Event(Event, Position),
    /// A line of the log, and the position after it.
    Log(LogLine, Position),
    /// How far something is.
    Progress(Progress),
}

/// Reads on for one client.
pub struct Follower {
    state: ApiState,
    caller: Caller,
    selection: Selection,
    /// The project of the run that is followed.
    run_project: Option<String>,
    /// What is worth reading the store for, whether the caller may see it or not.
    wanted: EventFilter,
    position: Position,
    notices: Receiver<Notice>,
    ready: VecDeque<Item>,
    /// Whether the store may hold something that was not read.
    behind: bool,
    /// Whether the caller could see any of it so far.
    seeing: bool,
    /// When the caller's rights are looked at next. Kept here, because a WebSocket drops
    /// what waits for the next item at every heartbeat.
    recheck: Instant,
}

impl Follower {
    /// Begins after `position`. Refuses what the caller may not see.
    pub fn new(
        state: ApiState,
        caller: Caller,
        selection: Selection,
        position: Position,
    ) -> Result<Self, Problem> {
        if let Some(project) = &selection.project {
            project_or_every(project)?;
        }
        // Subscribed before the first read, so that nothing falls between.
        let notices = state.orchestrator.runs.subscribe();
        let run_project = match &selection.run {
            Some(run) => Some(readable_run(&state, &caller.0, run)?.project),
            None => None,
        };
        let wanted = EventFilter {
            run: selection
                .run
                .clone()
                .or_else(|| selection.plugin.as_deref().map(journal_of)),
            projects: selection.project.clone().map(|project| vec![project]),
            kinds: selection.kinds.clone(),
        };
        let mut follower = Self {
            state,
            caller,
            selection,
            run_project,
            wanted,
            position,
            notices,
            ready: VecDeque::new(),
            behind: true,
            seeing: false,
            recheck: Instant::now(),
        };
        follower.visible()?;
        Ok(follower)
    }

    /// The next thing to show; waits for it. Ends with the caller's right to see it.
    /// A call that is dropped while waiting loses nothing.
    pub async fn next(&mut self) -> Result<Item, Problem> {
        loop {
            if Instant::now() >= self.recheck {
                self.visible()?;
            }
            if let Some(item) = self.next_ready() {
                return item;
            }
            match tokio::time::timeout_at(self.recheck, self.notices.recv()).await {
                Ok(Ok(notice)) => self.take(notice),
                Ok(Err(RecvError::Lagged(_))) => self.behind = true,
                Ok(Err(RecvError::Closed)) => {
                    return Err(Problem::new(Code::Unavailable, "the host is stopping"));
                }
                // The rights are due.
                Err(_) => {}
            }
        }
    }

    /// The next thing that is there already; none where everything was handed out.
    pub fn next_ready(&mut self) -> Option<Result<Item, Problem>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                if let Item::Event(_, position) | Item::Log(_, position) = &item {
                    self.position = *position;
                }
                return Some(Ok(item));
            }
            if !self.behind {
                return None;
            }
            if let Err(problem) = self.read() {
                return Some(Err(problem));
            }
        }
    }

    fn take(&mut self, notice: Notice) {
        match notice {
            Notice::Event(event) => {
                self.behind |= event.id > self.position.event && self.wanted.fits(&event);
            }
            Notice::Log(line) => {
                self.behind |= self.selection.logs
                    && line.id > self.position.log
                    && self.selection.run.as_deref() == Some(&line.run);
            }
            Notice::Progress {
                run,
                step,
                what,
                done,
                total,
                unit,
                ..
            } => {
                if self.selection.progress && self.selection.run.as_deref() == Some(&run) {
                    self.ready.push_back(Item::Progress(Progress {
                        run: run.to_string(),
                        step: step.to_string(),
                        what: what.to_string(),
                        done,
                        total,
                        unit: unit.to_string(),
                    }));
                }
            }
        }
    }

    /// The projects that are to be shown, as the store's filters have them. An error where
    /// the caller may not see the run, or all of what it could see, any more, or its token
    /// counts no more.
    fn visible(&mut self) -> Result<Option<Vec<String>>, Problem> {
        self.recheck = Instant::now() + RECHECK;
        let actor = &self.caller.0;
        if let (Some(run), Some(project)) = (&self.selection.run, &self.run_project) {
            require_readable(&self.state, actor, project, run)?;
            return Ok(None);
        }
        let visible = self
            .state
            .orchestrator
            .identity
            .visible(actor, Role::Read)?;
        let shown = visible.narrowed(self.wanted.projects.clone());
        if shown.as_ref().is_none_or(|projects| !projects.is_empty()) {
            self.seeing = true;
        } else if self.seeing {
            return Err(Problem::new(
                Code::Denied,
                "the role or grant by which this could be read has ended",
            ));
        }
        Ok(shown)
    }

    /// Reads one batch. The batch is short where the store holds nothing more.
    fn read(&mut self) -> Result<(), Problem> {
        let filter = EventFilter {
            projects: self.visible()?,
            ..self.wanted.clone()
        };
        let runs = &self.state.orchestrator.runs;
        let events = runs.events(self.position.event, &filter, BATCH)?;
        let logs = match (&self.selection.run, self.selection.logs) {
            (Some(run), true) => runs.logs(run, self.position.log, &LogFilter::default(), BATCH)?,
            _ => Vec::new(),
        };
        let full = |length: usize| u32::try_from(length).is_ok_and(|length| length >= BATCH);
        self.behind = full(events.len()) || full(logs.len());
        // Together in the order of time. Where one of the two goes on in the next batch,
        // what of the other is later than its end waits for that batch.
        let bound = |full: bool, last: Option<i64>| last.filter(|_| full);
        let until = bound(full(events.len()), events.last().map(|event| event.at.0))
            .into_iter()
            .chain(bound(full(logs.len()), logs.last().map(|line| line.at.0)))
            .min();
        let mut position = self.position;
        let mut logs = logs.into_iter().peekable();
        let mut events = events.into_iter().peekable();
        loop {
            let event_at = events.peek().map(|event| event.at.0);
            let log_at = logs.peek().map(|line| line.at.0);
            let (at, is_event) = match (event_at, log_at) {
                (None, None) => break,
                (Some(event), None) => (event, true),
                (None, Some(log)) => (log, false),
                (Some(event), Some(log)) => (event.min(log), event <= log),
            };
            let progressed = position != self.position;
            if until.is_some_and(|until| at > until) && progressed {
                self.behind = true;
                break;
            }
            if is_event {
                if let Some(event) = events.next() {
                    position.event = event.id;
                    self.ready.push_back(Item::Event(event, position));
                }
            } else if let Some(line) = logs.next() {
                position.log = line.id;
                self.ready.push_back(Item::Log(line, position));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_text_and_back() {
        for (text, event, log) in [("0", 0, 0), ("17", 17, 0), ("17.3", 17, 3), ("0.9", 0, 9)] {
            let position = Position { event, log };
            assert_eq!(text.parse::<Position>().unwrap(), position);
            assert_eq!(position.to_string(), text);
        }
        for text in [
            "",
            ".",
            "1.",
            ".1",
            "-1",
            "1.-1",
            "+1",
            "1.2.3",
            "9223372036854775808",
            "x",
        ] {
            assert!(text.parse::<Position>().is_err(), "{text:?}");
        }
    }
}
