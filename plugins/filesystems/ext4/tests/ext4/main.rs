//! The ext4 plugin against mke2fs, debugfs and e2fsck: one program, so that it is linked
//! once. The modules say `cfg(test)` because the lints of tests go by it.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod common;
#[cfg(test)]
mod edits;
#[cfg(test)]
mod full;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod layout;
#[cfg(test)]
mod model;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod recovery;
