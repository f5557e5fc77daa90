//! The tasks whose tables are part of a commit in a bucket.

use sst_format::SequenceNumber;
use sst_writer::publish::{TaskReport, TaskTables};

use crate::claims::{Claim, NumberBlock};
use crate::{Store, StoreError};

/// The tasks whose tables were added to a commit.
#[derive(Debug, Default)]
pub(super) struct AddedTasks {
    /// Their claims, with the owner of each.
    claims: Vec<(NumberBlock, u64)>,
    tables: TaskTables,
}

impl AddedTasks {
    /// Adds a task. `overlaps` is what [`TaskTables::overlap`] has said of it.
    pub(super) fn add(&mut self, report: &TaskReport, overlaps: bool) {
        let block = |first: &u32| NumberBlock::of(SequenceNumber(*first));
        self.claims.extend(report.claims.iter().map(|first| (block(first), report.owner)));
        self.tables.add(report, overlaps);
    }

    /// Their tables.
    pub(super) const fn tables(&self) -> &TaskTables {
        &self.tables
    }

    /// Fails if a claim is no longer a task's own. One request for each claim.
    pub(super) async fn check(&self, store: &Store) -> Result<(), StoreError> {
        for (block, owner) in &self.claims {
            Claim::held_by(store, *block, *owner).await?;
        }
        Ok(())
    }

    /// Releases all claims, because a commit names their objects. One that cannot be released ends
    /// with its job, or by its age.
    pub(super) async fn release(&self, store: &Store) {
        for (block, owner) in &self.claims {
            if let Ok(claim) = Claim::held_by(store, *block, *owner).await {
                _ = claim.release(store).await;
            }
        }
    }
}
