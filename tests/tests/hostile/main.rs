//! Hostile guests: components made to harm the host, each with the way it must end.
//!
//! **Problem.** That the host contains strangers' code is only shown by strangers' code that
//! tries, on the real host, with somebody else's plugins beside it who must not notice.
//!
//! **Design.** The attacks are data: `tests/hostile/*.wat` and `*.c`, and the Rust crate
//! `tests/plugins/hostile`. [`cases`] is the one table of them with what they try and how they must
//! end. [`attack`] runs a case where its kind belongs: a source, file system, inspector or fixer
//! in a real plan over a real disk, a step by itself. [`siege`] runs them all in one go beside
//! a [`neighbour`] that is called all the time, prints what the neighbour noticed, and counts
//! memory and descriptors before and after. [`loading`] has what attacks before anything runs:
//! components that are large or slow to compile, the cache, manifests. [`lies`] has file systems
//! and disks that lie in a migration with the product's plugins. [`page`] holds
//! `docs/security-model.md` to tests that exist.
//!
//! **Limits.** How long the neighbour waits is printed and not asserted here: it depends on what
//! else the machine does. `cargo xtask soak` sets `COFFERDAM_ROUNDS`, and asserts it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod attack;
mod cases;
mod component;
mod lies;
mod loading;
mod measure;
mod neighbour;
mod page;
mod siege;
