//! Work that waits for files, away from the threads of a runtime.

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::StoreError;

/// Runs a function that waits for files or answers on a thread of its own. Starting one takes some
/// microseconds, and a function here reads or writes at least a piece of a file.
///
/// `tokio::task::spawn_blocking` panics if the system grants no thread, or waits until it does.
/// Here that is an error.
pub(crate) async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (done, result) = oneshot::channel();
    let runtime = Handle::current();
    let work = move || {
        let _entered = runtime.enter();
        // A caller that was dropped does not need the result.
        _ = done.send(run());
    };
    let thread = std::thread::Builder::new().name("sst-files".to_owned());
    thread.spawn(work).map_err(|source| StoreError::Runtime { source })?;
    let ended = StoreError::Internal("a function that was sent to another thread ends");
    result.await.unwrap_or(Err(ended))
}
