//! Options of a run.

/// Rounds and sizes of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunOptions {
    /// Rounds; every figure is the median over them.
    pub(crate) rounds: usize,
    /// A tenth of the entries, to see quickly whether everything works.
    pub(crate) quick: bool,
    /// Whether memory is measured, in a process of its own for each contender.
    pub(crate) memory: bool,
}

/// Keys in one group of `multi_get`.
pub(crate) const GROUP: usize = 1000;

/// Lookups of one round.
#[must_use]
pub(crate) fn lookups(entries: usize) -> usize {
    entries.clamp(50_000, 200_000)
}
