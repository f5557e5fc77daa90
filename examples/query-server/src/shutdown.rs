//! The signals that stop the server.

use std::io;

/// Waits for Ctrl-C, or on Unix for SIGTERM or SIGINT. Returns the signal's name.
///
/// The handlers are installed when this function returns, before the future is first polled.
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

/// Waits for Ctrl-C.
#[cfg(not(unix))]
pub(crate) fn signals() -> io::Result<impl Future<Output = &'static str>> {
    Ok(async {
        // If waiting for Ctrl-C fails, wait forever; the process can still be ended from outside.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "ctrl-c"
    })
}
