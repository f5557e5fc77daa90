//! Invariants of this crate: rules that neither a caller nor a file can break.

/// A rule that does not hold: a bug of this crate.
///
/// Each error enum has a variant `Internal` for it. Builds with debug assertions stop at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BrokenInvariant(pub(crate) &'static str);

impl BrokenInvariant {
    /// `rule` says what should hold.
    #[cold]
    pub(crate) fn new(rule: &'static str) -> Self {
        debug_assert!(false, "does not hold: {rule}");
        Self(rule)
    }
}

/// The value of an option that is never empty.
pub(crate) trait OrBroken<T> {
    /// The value, or the error that `rule` does not hold.
    fn or_broken(self, rule: &'static str) -> Result<T, BrokenInvariant>;
}

impl<T> OrBroken<T> for Option<T> {
    #[inline]
    fn or_broken(self, rule: &'static str) -> Result<T, BrokenInvariant> {
        match self {
            Some(value) => Ok(value),
            None => Err(BrokenInvariant::new(rule)),
        }
    }
}

impl<T, E> OrBroken<T> for Result<T, E> {
    #[inline]
    fn or_broken(self, rule: &'static str) -> Result<T, BrokenInvariant> {
        self.ok().or_broken(rule)
    }
}
