//! .
pub mod bindings;
