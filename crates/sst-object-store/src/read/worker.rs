//! The threads that make requests for callers that wait.

use std::future::Future;
use std::sync::mpsc;

use tokio::runtime::Runtime;

use crate::{StoreError, runtime};

/// A runtime of its own, so that callers need none, and may be on one.
#[derive(Debug)]
pub(super) struct Worker(Option<Runtime>);

impl Worker {
    pub(super) fn start() -> Result<Self, StoreError> {
        runtime::start().map(Some).map(Self)
    }

    /// Runs a task, and does not wait for it.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            runtime.spawn(task);
        }
    }

    /// Runs a request, and waits for its answer. The caller may be on a thread of another runtime,
    /// which it blocks.
    pub(super) fn run<T: Send + 'static>(
        &self,
        request: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answers, answer) = mpsc::sync_channel(1);
        self.spawn(async move {
            // A caller waits for its answer as long as it lives.
            _ = answers.send(request.await);
        });
        answer.recv().map_err(|_| StoreError::Internal("a request has an answer"))?
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Waiting for the threads is not allowed on a thread of another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
