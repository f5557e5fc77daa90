//! The policy for several entries of one key.

/// Which entries of a key a load or a merge keeps if there are several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Duplicates {
    /// Only the newest, which `get` finds. In a load that is the record with the highest
    /// [`InputPosition`](crate::bulk::InputPosition). In a merge these are all entries of the key
    /// in the newest table that has it.
    #[default]
    Newest,
    /// All of them, which `get_all` finds. In a load they are in the order of their input
    /// positions, and a tombstone removes the records before it. In a merge, those of newer tables
    /// come first, down to a tombstone.
    Keep,
    /// None: a key with more than one record or entry, tombstones included, is an error, and
    /// nothing is published.
    Error,
}
