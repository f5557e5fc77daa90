//! Which entries of a key are kept.

/// Which entries of a key are kept where a load or a merge finds several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Duplicates {
    /// The newest, which `get` finds. In a load: the record with the highest
    /// [`InputPosition`](crate::bulk::InputPosition). In a merge: the newest table that knows the
    /// key, with all its entries of the key.
    #[default]
    Newest,
    /// All, which `get_all` finds. In a load: in the order of their places; a deletion takes those
    /// before it. In a merge: those of newer tables first, down to a tombstone.
    Keep,
    /// None: a key that comes more than once, as a deletion too, is an error, and nothing is
    /// published.
    Error,
}
