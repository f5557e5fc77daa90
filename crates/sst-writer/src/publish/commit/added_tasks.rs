//! The tasks whose tables are part of a commit.

use std::path::Path;
use std::sync::Arc;

use sst_format::content_digest::ContentDigest;
use sst_format::hash_ranges::HashRanges;

use crate::publish::FragmentOverlap;
use crate::publish::number_claim::NumberClaim;
use crate::publish::task::TaskReport;
use crate::{FileError, FileSystem, PublishError};

/// The tasks whose tables were added to a commit.
#[derive(Debug)]
pub(super) struct AddedTasks {
    claims: Vec<NumberClaim>,
    /// The hashes of their tables.
    hashes: HashRanges,
    /// Number of their tables.
    tables: usize,
    /// The digest of their live entries; `None` if a task has none, or if tasks overlap, so that
    /// entries of one may hide those of another.
    content: Option<ContentDigest>,
}

impl Default for AddedTasks {
    fn default() -> Self {
        let content = Some(ContentDigest::default());
        Self { claims: Vec::new(), hashes: HashRanges::default(), tables: 0, content }
    }
}

/// The claims of a task, and whether its tables overlap those of other tasks.
pub(super) struct CheckedTask {
    claims: Vec<NumberClaim>,
    overlaps: bool,
}

impl AddedTasks {
    /// Fails if the claims of a task are no longer its own, or if its tables overlap those of other
    /// tasks and must not.
    pub(super) fn checked(
        &self,
        report: &TaskReport,
        file_system: &Arc<dyn FileSystem>,
        directory: &Path,
        overlap: FragmentOverlap,
    ) -> Result<CheckedTask, PublishError> {
        let claim = |first: &u32| {
            NumberClaim::of_owner(Arc::clone(file_system), directory, *first, report.owner)
        };
        let claims: Vec<_> = report.claims.iter().map(claim).collect();
        claims.iter().try_for_each(NumberClaim::check)?;
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
        Ok(CheckedTask { claims, overlaps })
    }

    /// Adds a task.
    pub(super) fn add(&mut self, report: &TaskReport, checked: CheckedTask) {
        let CheckedTask { claims, overlaps } = checked;
        self.claims.extend(claims);
        for table in &report.tables {
            self.hashes.join(table.meta.min_hash, table.meta.max_hash);
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

    /// Number of their tables.
    pub(super) const fn tables(&self) -> usize {
        self.tables
    }

    /// The digest of their live entries, if every task has read its own back and no two overlap.
    pub(super) const fn content(&self) -> Option<ContentDigest> {
        self.content
    }

    /// Fails if a claim is no longer a task's own.
    pub(super) fn check(&self) -> Result<(), PublishError> {
        self.claims.iter().try_for_each(NumberClaim::check)
    }

    /// Releases all claims, because a commit names their files. Returns the first numbers of their
    /// blocks, and the errors of claims that could not be removed; those end by their age.
    pub(super) fn release(&mut self) -> (Vec<u32>, Vec<FileError>) {
        let released = self.claims.iter().map(NumberClaim::first).collect();
        let left = self.claims.drain(..).map(NumberClaim::remove);
        (released, left.filter_map(Result::err).collect())
    }
}
