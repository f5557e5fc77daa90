//! Cancellation by Ctrl-C (SIGINT) or SIGTERM.

use std::sync::OnceLock;

use sst_writer::Monitor;
use sst_writer::monitor::CancelToken;

use crate::progress::ProgressLine;

/// Exit code of a process that the second Ctrl-C ends: 128 + SIGINT, as shells report it.
const INTERRUPTED: i32 = 130;

static TOKEN: OnceLock<CancelToken> = OnceLock::new();

/// The token that the first Ctrl-C (or termination signal) cancels. The command then stops and
/// leaves the directory as it was before. The second Ctrl-C ends the process at once; the next
/// writer of the directory removes its leftovers. Before the first call of this function, Ctrl-C
/// ends the process at once.
pub(super) fn token() -> CancelToken {
    TOKEN.get_or_init(set_handler).clone()
}

/// Has signals cancel from now on. Called before a command opens what it writes to: a signal before
/// its commit is then reported as an interruption.
pub(super) fn install() {
    TOKEN.get_or_init(set_handler);
}

/// A monitor that ignores progress and cancels at Ctrl-C.
pub(super) fn monitor() -> Monitor {
    Monitor::default().cancel(token())
}

/// A monitor that moves a bar of entries and cancels at Ctrl-C.
pub(super) fn entries_monitor(bar: &ProgressLine) -> Monitor {
    bar.entries_monitor().cancel(token())
}

fn set_handler() -> CancelToken {
    let token = CancelToken::default();
    let switch = token.clone();
    // If no handler can be set, Ctrl-C ends the process at once, which is safe too: the commit is
    // not made.
    _ = ctrlc::set_handler(move || {
        if switch.is_cancelled() {
            std::process::exit(INTERRUPTED);
        }
        switch.cancel();
    });
    token
}
