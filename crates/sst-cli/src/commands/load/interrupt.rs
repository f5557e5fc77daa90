//! Ctrl-C.

use sst_writer::CancelToken;

/// The exit code of a process that ends by the second Ctrl-C, as shells have it.
const INTERRUPTED: i32 = 130;

/// A token that the first Ctrl-C (or termination signal) switches: the load stops and leaves the directory as it was. The
/// second ends the process at once; what it leaves is removed by the next load.
pub(super) fn token() -> CancelToken {
    let token = CancelToken::default();
    let switch = token.clone();
    // Where no handler can be set, Ctrl-C does what it always does, which harms nothing.
    _ = ctrlc::set_handler(move || {
        if switch.is_cancelled() {
            std::process::exit(INTERRUPTED);
        }
        switch.cancel();
    });
    token
}
