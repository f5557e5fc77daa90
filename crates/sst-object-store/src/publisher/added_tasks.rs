//! The tasks whose tables are part of a commit in a bucket.

use futures_util::{StreamExt, TryStreamExt, stream};
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

    /// Fails if a claim is no longer a task's own. One request for each claim, `parallel` at once.
    pub(super) async fn check(&self, store: &Store, parallel: usize) -> Result<(), StoreError> {
        let checks = self.claims.iter().map(|(block, owner)| check_claim(store, *block, *owner));
        let checks: Vec<_> = checks.collect();
        stream::iter(checks).buffer_unordered(parallel).try_collect().await
    }

    /// Releases all claims, because a commit names their objects. One that cannot be released ends
    /// with its job, or by its age. Two requests for each claim, those of `parallel` at once.
    pub(super) async fn release(&self, store: &Store, parallel: usize) {
        let releases = self.claims.iter().map(|(block, owner)| release(store, *block, *owner));
        let releases: Vec<_> = releases.collect();
        stream::iter(releases).buffer_unordered(parallel).collect::<()>().await;
    }
}

/// Fails if a claim is no longer its owner's.
pub(super) async fn check_claim(
    store: &Store,
    block: NumberBlock,
    owner: u64,
) -> Result<(), StoreError> {
    Claim::held_by(store, block, owner).await.map(drop)
}

async fn release(store: &Store, block: NumberBlock, owner: u64) {
    if let Ok(claim) = Claim::held_by(store, block, owner).await {
        _ = claim.release(store).await;
    }
}
