//! The ext4 plugin against mke2fs, debugfs and e2fsck: one program, so that it is linked
//! once.

mod common;
mod edits;
mod full;
mod hostile;
mod model;
mod reading;
mod recovery;
