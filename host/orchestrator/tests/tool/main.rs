//! Programs under their supervisors: real processes, killed for real.

mod common;
mod confinement;
mod durability;
mod ends;
mod files;
mod stopping;
