//! What services answer, as one type.

use super::block::Block;
use cofferdam_contract::types::{Error, Metadata, Page, Space, Timestamp, ToolOutcome};
use serde::{Deserialize, Serialize};

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    Done,
    Metadata(Metadata),
    Page(Page),
    Bytes(Block),
    Text(String),
    Names(Vec<String>),
    Space(Space),
    Outcome(ToolOutcome),
    Time(Timestamp),
    /// What stands for a secret's value; the value itself is never in a recording.
    Secret(String),
}

impl Answer {
    /// The content in it.
    pub(crate) fn block_mut(&mut self) -> Option<&mut Block> {
        match self {
            Self::Bytes(block) => Some(block),
            _ => None,
        }
    }
}

/// A type that services answer with.
pub(crate) trait Wire: Sized {
    /// As an answer.
    fn answer(&self) -> Answer;
    /// Back; none where the answer is of another type.
    fn from_answer(answer: Answer) -> Option<Self>;
}

macro_rules! wire {
    ($($type:ty = $case:ident,)*) => {$(
        impl Wire for $type {
            fn answer(&self) -> Answer {
                Answer::$case(self.clone())
            }
            fn from_answer(answer: Answer) -> Option<Self> {
                match answer {
                    Answer::$case(value) => Some(value),
                    _ => None,
                }
            }
        }
    )*};
}

wire! {
    Metadata = Metadata,
    Page = Page,
    String = Text,
    Vec<String> = Names,
    Space = Space,
    ToolOutcome = Outcome,
    Timestamp = Time,
}

impl Wire for () {
    fn answer(&self) -> Answer {
        Answer::Done
    }
    fn from_answer(answer: Answer) -> Option<Self> {
        matches!(answer, Answer::Done).then_some(())
    }
}

impl Wire for Vec<u8> {
    fn answer(&self) -> Answer {
        Answer::Bytes(Block::new(self))
    }
    fn from_answer(answer: Answer) -> Option<Self> {
        match answer {
            Answer::Bytes(block) => Some(block.bytes()),
            Answer::Secret(stands_for) => Some(stands_for.into_bytes()),
            _ => None,
        }
    }
}

/// A result as an answer.
pub(crate) fn answer_of<T: Wire>(result: &Result<T, Error>) -> Result<Answer, Error> {
    result.as_ref().map(Wire::answer).map_err(Clone::clone)
}
