//! The tasks whose tables are part of a commit in a bucket.

use sst_format::SequenceNumber;
use sst_format::content_digest::ContentDigest;
use sst_format::hash_ranges::HashRanges;
use sst_writer::PublishError;
use sst_writer::publish::{FragmentOverlap, TaskReport};

use crate::claims::{Claim, NumberBlock};
use crate::{Store, StoreError};

/// The tasks whose tables were added to a commit.
#[derive(Debug)]
pub(super) struct AddedTasks {
    /// Their claims, with the owner of each.
    claims: Vec<(NumberBlock, u64)>,
    /// The hashes of their tables.
    hashes: HashRanges,
    /// Number of their tables.
    tables: usize,
    /// The highest number of their files; 0 without a file.
    highest: SequenceNumber,
    /// The digest of their live entries; `None` if a task has none, or if tasks overlap, so that
    /// entries of one may hide those of another.
    content: Option<ContentDigest>,
}

impl Default for AddedTasks {
    fn default() -> Self {
        Self {
            claims: Vec::new(),
            hashes: HashRanges::default(),
            tables: 0,
            highest: SequenceNumber(0),
            content: Some(ContentDigest::default()),
        }
    }
}

impl AddedTasks {
    /// Whether the tables of a task overlap those of other tasks.
    ///
    /// Fails if they do and must not.
    pub(super) fn check_overlap(
        &self,
        report: &TaskReport,
        overlap: FragmentOverlap,
    ) -> Result<bool, PublishError> {
        let mut overlaps = false;
        for table in &report.tables {
            let (min_hash, max_hash) = (table.meta.min_hash, table.meta.max_hash);
            let meets = self.hashes.meet(min_hash, max_hash);
            if meets && overlap == FragmentOverlap::Refuse {
                let table = table.sequence;
                return Err(PublishError::TasksOverlap { table, min_hash, max_hash });
            }
            overlaps |= meets;
        }
        Ok(overlaps)
    }

    /// Adds a task.
    pub(super) fn add(&mut self, report: &TaskReport, overlaps: bool) {
        let block = |first: &u32| NumberBlock::of(SequenceNumber(*first));
        self.claims.extend(report.claims.iter().map(|first| (block(first), report.owner)));
        for table in &report.tables {
            self.hashes.join(table.meta.min_hash, table.meta.max_hash);
            self.highest = self.highest.max(table.sequence);
        }
        for blob in &report.blobs {
            self.highest = self.highest.max(SequenceNumber(blob.number.0));
        }
        self.tables += report.tables.len();
        self.content = match (self.content, report.content) {
            (Some(mut all), Some(of_task)) if !overlaps => {
                all.combine(&of_task);
                Some(all)
            }
            _ => None,
        };
    }

    /// The highest number of their files; 0 without a file.
    pub(super) const fn highest(&self) -> SequenceNumber {
        self.highest
    }

    /// Number of their tables.
    pub(super) const fn tables(&self) -> usize {
        self.tables
    }

    /// The digest of their live entries, if every task has read its own back and no two overlap.
    pub(super) const fn content(&self) -> Option<ContentDigest> {
        self.content
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
