//! The cause of a failed checksum, as far as it can be found.

use std::fmt;

/// Where wrong bytes come from, and which bit of them is wrong if one explains it all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// Where the wrong bytes come from.
    pub origin: Origin,
    /// The one bit that, flipped back, makes the checksum right. No other single bit does. `None`
    /// if more is wrong than one bit.
    pub flipped: Option<FlippedBit>,
}

/// Where wrong bytes come from: found by reading them again, past every cache that can be got
/// around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// They were not read from a file, or could not be read again.
    #[default]
    Unknown,
    /// The device gives the same wrong bytes: the file is damaged.
    Disk,
    /// The operating system gives the same wrong bytes, and its cache could not be got around: the
    /// file is damaged, or the system's copy of it.
    DiskOrSystemCache,
    /// Read again the bytes are right: the copy in memory was damaged, the file is not. Suspect the
    /// machine's memory.
    Memory,
    /// Read again the bytes are wrong in another way: suspect the device, its cable, or the
    /// machine's memory.
    Unstable,
}

impl Origin {
    /// A short name: `unknown`, `disk`, `disk or system cache`, `memory`, `unstable`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Disk => "disk",
            Self::DiskOrSystemCache => "disk or system cache",
            Self::Memory => "memory",
            Self::Unstable => "unstable",
        }
    }
}

/// A bit of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlippedBit {
    /// Its byte, counted from the start of the file.
    pub byte: u64,
    /// Which of its bits: 0 is the lowest.
    pub bit: u8,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(FlippedBit { byte, bit }) = self.flipped {
            write!(f, "; bit {bit} of byte {byte} is flipped")?;
        }
        f.write_str(match self.origin {
            Origin::Unknown => "",
            Origin::Disk => "; damaged on disk",
            Origin::DiskOrSystemCache => "; damaged on disk or in the system's cache",
            Origin::Memory => "; damaged in memory, intact on disk",
            Origin::Unstable => "; damaged differently each time it is read",
        })
    }
}
