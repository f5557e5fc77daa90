//! How far a load has come.

use std::fmt;
use std::sync::Arc;

/// What a load is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum BulkPhase {
    /// Records are put.
    Gather,
    /// Records are sorted and written to tables.
    Write,
    /// Tables and blobs go live.
    Publish,
}

/// How far a load has come. Within a phase the numbers only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkProgress {
    /// What it is doing.
    pub phase: BulkPhase,
    /// Records put, or taken from the sorted ones, so far.
    pub records: u64,
    /// Bytes of the keys and values of those records.
    pub bytes: u64,
    /// How many records there are in all; `None` while they are put.
    pub total_records: Option<u64>,
    /// Bytes of keys and values there are in all; `None` while they are put.
    pub total_bytes: Option<u64>,
}

/// A function that is told of progress. Called from several threads, at most a few thousand times per second.
#[derive(Clone)]
pub struct ProgressCallback(Arc<dyn Fn(BulkProgress) + Send + Sync>);

impl ProgressCallback {
    /// Wraps a function.
    #[must_use]
    pub fn new(callback: impl Fn(BulkProgress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(callback))
    }

    pub(crate) fn report(&self, progress: BulkProgress) {
        (self.0)(progress);
    }
}

impl fmt::Debug for ProgressCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProgressCallback")
    }
}
