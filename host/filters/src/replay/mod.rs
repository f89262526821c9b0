//! `replay`, both ways round.
//!
//! **Instead of the plugin** ([`Replayer`], the filter). A fixer or inspector is played: what
//! it read is read again from the live services, and has to be the same (contents by digest);
//! what it recorded is recorded again. Of several recordings the first is taken whose reads
//! fit. A step's end is given, and nothing is touched: the recording of that function with
//! that input, several in their order, the last one again and again.
//!
//! **Instead of the host** ([`replay()`]). The plugin is run for real, and every service is
//! what was recorded. What it asks has to be what it asked, and its end the same.
//!
//! What only tells people something (log, progress) is not compared. A call that was stopped
//! at a moment that the plugin did not decide (time limits, a cancelled run) is compared as far
//! as it came.

mod divergence;
mod nearest;
mod player;
mod run;
mod script;

pub use divergence::Divergence;
pub use run::{ReplayError, Subject, Verdict, replay};

pub(crate) use player::Replayer;
pub(crate) use script::Script;
