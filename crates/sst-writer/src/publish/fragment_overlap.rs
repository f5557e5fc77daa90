//! The treatment of fragments with keys in common.

/// How fragments of one commit are treated whose ranges of hashes overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FragmentOverlap {
    /// They are refused: each writer should have written its own range of hashes, so that no key is
    /// in two fragments.
    #[default]
    Refuse,
    /// Where two fragments have a key in common, the one added later counts.
    LaterWins,
}
