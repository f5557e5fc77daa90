//! Options of a run.

/// Number of rounds and size of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunOptions {
    /// Number of rounds; every figure is the median over them.
    pub(crate) rounds: usize,
    /// Use a tenth of the entries, to check quickly that everything works.
    pub(crate) quick: bool,
    /// Whether memory is measured, with one process per contender.
    pub(crate) memory: bool,
}

/// Number of keys in one group of `multi_get`.
pub(crate) const GROUP: usize = 1000;

/// Returns the number of lookups in one round.
#[must_use]
pub(crate) fn lookups(entries: usize) -> usize {
    entries.clamp(50_000, 200_000)
}
