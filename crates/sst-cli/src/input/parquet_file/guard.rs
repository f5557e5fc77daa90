//! A fence around the `parquet` crate, which panics at some damaged bytes where it should return an error.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use parquet::errors::ParquetError;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}
static SILENCE: Once = Once::new();

/// Does something with the decoder. A panic in it becomes an error and says nothing by itself; what it was at is broken then,
/// and must not be used again.
pub(super) fn guarded<T>(
    decode: impl FnOnce() -> Result<T, ParquetError>,
) -> Result<T, ParquetError> {
    SILENCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                report(panic);
            }
        }));
    });
    IS_GUARDED.set(true);
    // Whoever gets the error drops what was at work.
    let result = panic::catch_unwind(AssertUnwindSafe(decode));
    IS_GUARDED.set(false);
    let damaged = |_| Err(ParquetError::General("the decoder cannot make sense of it".to_owned()));
    result.unwrap_or_else(damaged)
}
