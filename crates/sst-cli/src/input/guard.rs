//! Turns panics of third-party decoders into errors. Some panic on damaged input instead of
//! returning an error.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}
static SILENCE: Once = Once::new();

/// A decoder panicked: the data is damaged in a way that the decoder does not check for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the decoder failed on it")]
pub(super) struct Panicked;

/// Runs a decoder. A panic becomes an error and prints nothing. A decoder that panicked may be in
/// an invalid state and must not be used again; callers drop it together with the input.
pub(super) fn guarded<T>(decode: impl FnOnce() -> T) -> Result<T, Panicked> {
    SILENCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                report(panic);
            }
        }));
    });
    IS_GUARDED.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(decode));
    IS_GUARDED.set(false);
    // The panic's message would not help a user; the error names the position instead.
    result.map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(guarded(|| 1), Ok(1));
        assert_eq!(guarded(|| assert!(std::hint::black_box(false))), Err(Panicked));
        assert_eq!(guarded(|| 2), Ok(2));
    }
}
