//! Ctrl-C.

use std::sync::OnceLock;

use sst_writer::{CancelToken, Monitor};

use crate::progress::Progress;

/// The exit code of a process that ends by the second Ctrl-C, as shells have it.
const INTERRUPTED: i32 = 130;

static TOKEN: OnceLock<CancelToken> = OnceLock::new();

/// The token that the first Ctrl-C (or termination signal) switches: the command stops and leaves
/// the directory as it was. The second ends the process at once; what it leaves is removed by the
/// next one that writes there. Until a command asks for it Ctrl-C ends the process.
pub(super) fn token() -> CancelToken {
    TOKEN.get_or_init(set_handler).clone()
}

/// A monitor that observes nothing and cancels at Ctrl-C.
pub(super) fn monitor() -> Monitor {
    Monitor::default().cancel(token())
}

/// A monitor that moves a bar that counts entries, until Ctrl-C.
pub(super) fn entries_monitor(bar: &Progress) -> Monitor {
    bar.entries_monitor().cancel(token())
}

fn set_handler() -> CancelToken {
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
