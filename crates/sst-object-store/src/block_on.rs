//! A runtime for callers without one.

use std::future::Future;

use tokio::runtime::Handle;

use crate::{StoreError, runtime};

/// Runs an operation of this crate to its end, on a runtime of its own. For programs that have no
/// runtime, such as commands.
///
/// # Errors
///
/// The error of the operation; [`StoreError::Runtime`] if the system gives no threads, or if the
/// caller itself runs on a runtime: there, await the operation.
///
/// # Examples
///
/// ```
/// use sst_object_store::{MirrorOptions, Monitor, Place, StoreError, block_on, push};
///
/// let parent = tempfile::tempdir()?;
/// let target = Place::Directory(parent.path().join("copy.db"));
/// let (options, monitor) = (MirrorOptions::default(), Monitor::default());
/// let pushed = block_on(push(parent.path(), &target, &options, &monitor));
/// assert!(matches!(pushed, Err(StoreError::NoCommit { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn block_on<T>(
    operation: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    if Handle::try_current().is_ok() {
        return Err(StoreError::Runtime { source: std::io::ErrorKind::WouldBlock.into() });
    }
    runtime::start()?.block_on(operation)
}
