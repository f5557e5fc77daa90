//! The operation that made a commit.

/// The kind of a commit: the operation that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CommitKind {
    /// Its tables replace all earlier tables of the family.
    Load,
    /// Its tables are added to the earlier ones.
    Append,
    /// Its tables hold the entries of earlier tables; lookups answer as before. It is no generation
    /// to which a rollback can return.
    Merge,
    /// It makes an earlier commit live again.
    Rollback,
    /// A kind that a later build defines.
    Other(u32),
}

impl CommitKind {
    /// The number on disk.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Load => 0,
            Self::Append => 1,
            Self::Merge => 2,
            Self::Rollback => 3,
            Self::Other(number) => number,
        }
    }

    /// The kind with this number on disk.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Load,
            1 => Self::Append,
            2 => Self::Merge,
            3 => Self::Rollback,
            number => Self::Other(number),
        }
    }
}
