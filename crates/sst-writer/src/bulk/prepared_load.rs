//! A load whose tables are durable and which no reader sees yet.

use super::bulk_error::BulkError;
use super::bulk_loader::BulkSummary;
use crate::PreparedCommit;

/// A load that is written and not visible yet. See
/// [`BulkLoader::prepare`](crate::BulkLoader::prepare). Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct PreparedLoad<'p> {
    pub(super) commit: PreparedCommit<'p>,
    pub(super) summary: BulkSummary,
}

impl<'p> PreparedLoad<'p> {
    /// The commit of the load, to be certified.
    #[must_use]
    pub const fn commit(&mut self) -> &mut PreparedCommit<'p> {
        &mut self.commit
    }

    /// Gives the load up, and says what it would have done. Nothing of it stays; the summary has no
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
        let Self { commit, mut summary } = self;
        let info = commit.publish()?;
        summary.sequence = info.sequence;
        summary.certificates = info.certificates;
        summary.not_removed = info.not_removed;
        Ok(summary)
    }
}
