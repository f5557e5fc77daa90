//! Newtypes for numbers that must not be mixed up.

use core::fmt;

/// Number of a block within its table, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockIndex(pub u16);

/// Number of a blob: its file is `NNNNNNNN.blob` (FORMAT.md section 8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobNumber(pub u32);

/// Number of a file of a directory, in the order of creation (FORMAT.md section 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber(pub u32);

/// The flags of a table in its meta file (FORMAT.md section 9).
///
/// The original's databases use them to choose tables to compact; lookups do not depend on them.
/// Unknown bits are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableFlags(pub u32);

impl TableFlags {
    /// The table holds entries that have not been used for some time.
    pub const COLD: Self = Self(1);
    /// The table holds entries written by the latest run.
    pub const FRESH: Self = Self(2);

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl fmt::Display for TableFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("warm"),
            1 => f.write_str("cold"),
            2 => f.write_str("fresh"),
            bits => write!(f, "flags {bits:#x}"),
        }
    }
}

impl fmt::Display for BlockIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for BlobNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
