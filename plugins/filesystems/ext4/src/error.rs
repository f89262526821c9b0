//! What the ext4 crate's errors mean in the contract's terms.

use cofferdam_sdk::Error;
use fs_ext4::Error as Driver;

/// The contract's error for the driver's, without saying what was being done.
///
/// The driver reports a full block bitmap and a full inode table as `Corrupt` with a text
/// of its own; these two texts are the only ones that are looked at.
pub fn contract(error: Driver) -> Error {
    match error {
        Driver::Io(error) => device(error),
        Driver::NotFound => Error::not_found("there is no such name"),
        // A path that goes on below something that is no directory names nothing.
        Driver::NotADirectory => Error::not_found("a component of the path is no directory"),
        Driver::IsADirectory => Error::invalid("it is a directory"),
        Driver::AlreadyExists => Error::exists("the name is taken"),
        Driver::DirectoryNotEmpty => Error::conflict("the directory is not empty"),
        Driver::ReadOnly => Error::denied(
            "the file system takes no more writes: it is read-only, or an earlier write failed",
        ),
        Driver::JournalNotReplayed => Error::denied("the journal was not replayed"),
        Driver::NameTooLong => Error::invalid("a name has more than 255 bytes"),
        Driver::NoSpaceLeftOnDevice => Error::no_space("no room is left"),
        Driver::TooManyLinks => Error::limit("an inode has as many names as ext4 can count"),
        Driver::InvalidArgument(why) => Error::invalid(why),
        Driver::Unsupported(what) => Error::unsupported(what),
        Driver::UnsupportedIncompat(bits) => {
            Error::unsupported(format!("unknown incompatible features {bits:#x}"))
        }
        Driver::UnsupportedRoCompat(bits) => Error::unsupported(format!(
            "features that a writer must know and this one does not: {bits:#x}"
        )),
        Driver::Corrupt(text) if text.contains("contiguous free run") => {
            Error::no_space("no free blocks are left, or none in one piece")
        }
        Driver::Corrupt(text) if text.contains("no group has a free inode") => {
            Error::no_space("no free inodes are left")
        }
        Driver::Corrupt(text) | Driver::CorruptExtentTree(text) | Driver::CorruptDirEntry(text) => {
            Error::corrupt(text)
        }
        Driver::BadMagic { .. } => Error::corrupt("the superblock has no ext4 signature"),
        Driver::BadChecksum { what } => Error::corrupt(format!("wrong checksum: {what}")),
        Driver::InvalidInode(number) => Error::corrupt(format!("there can be no inode {number}")),
        Driver::InvalidBlock(number) => Error::corrupt(format!("there can be no block {number}")),
        Driver::OutOfBounds => Error::corrupt("a structure points beyond its end"),
        Driver::Stale => Error::corrupt("a directory names an inode that is not in use"),
        other => Error::other(other.to_string()),
    }
}

/// The error of the device, which travels through the driver as an I/O error.
fn device(error: std::io::Error) -> Error {
    let text = error.to_string();
    error
        .into_inner()
        .and_then(|inner| inner.downcast::<Error>().ok())
        .map_or_else(|| Error::other(text), |inner| *inner)
}

/// Adds what was being done, and to what.
pub trait Doing<T> {
    /// The contract's result, its message preceded by `doing`.
    fn doing(self, doing: impl FnOnce() -> String) -> cofferdam_sdk::Result<T>;
}

impl<T> Doing<T> for fs_ext4::Result<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> cofferdam_sdk::Result<T> {
        self.map_err(|error| contract(error).context(doing()))
    }
}

impl<T> Doing<T> for cofferdam_sdk::Result<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> cofferdam_sdk::Result<T> {
        self.map_err(|error| error.context(doing()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_sdk::ErrorCode;

    #[test]
    fn the_devices_own_error_comes_through() {
        let inner = Error::unavailable("the disk went away").with_hint("plug it in");
        let error = Driver::Io(std::io::Error::other(inner.clone()));
        assert_eq!(contract(error), inner);
    }

    #[test]
    fn a_full_file_system_is_not_a_corrupt_one() {
        for text in [
            "no group has a contiguous free run of the requested size",
            "no group has a free inode",
        ] {
            assert_eq!(contract(Driver::Corrupt(text)).code, ErrorCode::NoSpace);
        }
        assert_eq!(contract(Driver::Corrupt("x")).code, ErrorCode::Corrupt);
    }
}
