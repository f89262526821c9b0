//! .
#![allow(dead_code)]
mod archive;
mod decoder;
mod lz4;
mod members;
mod newc;
mod source;
