//! Invariants of this crate: rules that only a bug of this crate can break.

/// A broken invariant, which is a bug of this crate.
///
/// Each error enum has a variant `Internal` for it. Builds with debug assertions panic at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BrokenInvariant(pub(crate) &'static str);

impl BrokenInvariant {
    /// `rule` states the invariant.
    #[cold]
    pub(crate) fn new(rule: &'static str) -> Self {
        debug_assert!(false, "this does not hold: {rule}");
        Self(rule)
    }
}

/// Turns a missing value into an error where an invariant says that there is one.
pub(crate) trait OrBroken<T> {
    /// The value, or the error that the invariant `rule` is broken.
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
