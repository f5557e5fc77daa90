//! When to stop.

use std::io;

/// Waits for ctrl-c, or on Unix for the signal that asks a process to end. Returns its name.
///
/// The signals are caught as soon as this returns, before the future is first polled.
#[cfg(unix)]
pub(crate) fn signals() -> io::Result<impl Future<Output = &'static str>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// Waits for ctrl-c.
#[cfg(not(unix))]
pub(crate) fn signals() -> io::Result<impl Future<Output = &'static str>> {
    Ok(async {
        // If it cannot be waited for, the process is ended from outside.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "ctrl-c"
    })
}
