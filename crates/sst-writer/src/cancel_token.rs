//! How something that takes long is called off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::PublishError;

/// Calls off a load or a commit from another thread or a signal handler. Clones share one switch.
///
/// # Examples
///
/// ```
/// use sst_writer::CancelToken;
///
/// let token = CancelToken::default();
/// let other = token.clone();
/// other.cancel();
/// assert!(token.is_cancelled());
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    switch: Arc<AtomicBool>,
}

impl CancelToken {
    /// Calls off whatever the token was given to. It stops at the next opportunity, usually within milliseconds, with
    /// [`BulkError::Cancelled`](crate::BulkError::Cancelled) or [`PublishError::Cancelled`].
    pub fn cancel(&self) {
        self.switch.store(true, Ordering::Release);
    }

    /// Whether it was called off.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.switch.load(Ordering::Acquire)
    }

    /// Ends what was called off.
    pub(crate) fn check(&self) -> Result<(), PublishError> {
        if self.is_cancelled() { Err(PublishError::Cancelled) } else { Ok(()) }
    }
}
