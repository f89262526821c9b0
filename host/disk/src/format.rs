//! The names of the formats that this crate reads itself.

use crate::DiskError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A disk image format. Written in lower case everywhere: `raw`, `qcow2`, `vmdk`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// The bytes of the disk and nothing else.
    Raw,
    /// QEMU's copy-on-write format, versions 2 and 3.
    Qcow2,
    /// VMware's format, in its hosted subformats.
    Vmdk,
}

impl Format {
    /// All formats, in the order in which they are listed to users.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Qcow2, Self::Vmdk];

    /// The lower-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "vmdk",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = DiskError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == name)
            .ok_or_else(|| DiskError::UnknownFormat {
                given: name.to_owned(),
                valid: Self::ALL.map(Self::as_str).join(", "),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_unknown_ones_list_the_valid() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse::<Format>().unwrap(), format);
        }
        let error = "VHDX".parse::<Format>().unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown image format \"VHDX\"; valid formats are raw, qcow2, vmdk"
        );
    }
}
