//! A load whose tables are durable but not visible to readers yet.

use super::bulk_error::BulkError;
use super::bulk_loader::BulkSummary;
use crate::{Monitor, PreparedCommit};

/// A load that is written but not visible yet. See
/// [`BulkLoader::prepare`](crate::BulkLoader::prepare). If it is dropped, nothing of it stays.
#[derive(Debug)]
pub struct PreparedLoad<'p> {
    pub(super) commit: PreparedCommit<'p>,
    pub(super) summary: BulkSummary,
    /// The monitor of the load.
    pub(super) monitor: Monitor,
}

impl<'p> PreparedLoad<'p> {
    /// The commit of the load, for reading it back and certifying it.
    #[must_use]
    pub const fn commit(&mut self) -> &mut PreparedCommit<'p> {
        &mut self.commit
    }

    /// Abandons the load, and returns its figures. Nothing of it stays, and the summary has no
    /// sequence number.
    #[must_use]
    pub fn into_summary(self) -> BulkSummary {
        self.summary
    }

    /// Makes the load visible, in one step.
    ///
    /// # Errors
    ///
    /// As [`PreparedCommit::publish`].
    pub fn publish(self) -> Result<BulkSummary, BulkError> {
        let Self { commit, mut summary, monitor } = self;
        monitor.check()?;
        let info = commit.publish(&monitor)?;
        summary.commit = info.commit;
        summary.certificates = info.certificates;
        summary.not_removed = info.not_removed;
        Ok(summary)
    }
}
