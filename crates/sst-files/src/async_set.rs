//! Lookups for asynchronous programs.

use std::sync::Arc;

use crate::{LiveSet, ReadError, Slice};

/// A [`LiveSet`] whose lookups run on the threads that tokio has for work that blocks, so that a
/// wait for the disk does not hold up a runtime.
///
/// Handing a lookup over takes some microseconds, and a lookup of data in memory takes less than
/// one. So ask for many keys at once, and where all data is in memory use [`AsyncSet::live`]
/// directly.
///
/// All methods must be called within a runtime of tokio. Its threads are tokio's business: if the
/// system grants none, `tokio::task::spawn_blocking` panics in a runtime without threads, and in
/// any other the lookup waits until a thread is free. A program that may run out of threads starts
/// them early: one call of `spawn_blocking` for each, with a long
/// `tokio::runtime::Builder::thread_keep_alive`.
#[derive(Clone, Debug)]
pub struct AsyncSet {
    live: Arc<LiveSet>,
}

impl AsyncSet {
    /// Shares a set. Clones of the result share it too.
    #[must_use]
    pub fn new(live: impl Into<Arc<LiveSet>>) -> Self {
        Self { live: live.into() }
    }

    /// The set, for lookups that do not wait.
    #[must_use]
    pub fn live(&self) -> &LiveSet {
        &self.live
    }

    /// [`LiveSet::get`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn get(&self, key: impl Into<Vec<u8>>) -> Result<Option<Slice<'static>>, ReadError> {
        let key = key.into();
        self.blocking(move |live| live.get(key)).await
    }

    /// [`LiveSet::multi_get`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn multi_get<K: AsRef<[u8]> + Send + 'static>(
        &self,
        keys: Vec<K>,
    ) -> Result<Vec<Option<Slice<'static>>>, ReadError> {
        self.blocking(move |live| live.multi_get(&keys)).await
    }

    /// [`LiveSet::refresh`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn refresh(&self) -> Result<bool, ReadError> {
        self.blocking(LiveSet::refresh).await
    }

    /// Runs any work on the set where it may block.
    ///
    /// # Errors
    ///
    /// The error of the work.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&LiveSet) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let live = Arc::clone(&self.live);
        match tokio::task::spawn_blocking(move || work(&live)).await {
            Ok(done) => done,
            Err(ended) => match ended.try_into_panic() {
                // As if the work had been done here.
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime shuts down and drops this task as well.
                Err(_) => std::future::pending().await,
            },
        }
    }
}
