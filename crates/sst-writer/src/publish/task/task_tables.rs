//! The tables that tasks have added to one commit.

use sst_format::SequenceNumber;
use sst_format::content_digest::ContentDigest;
use sst_format::hash_ranges::HashRanges;

use super::TaskReport;
use crate::PublishError;
use crate::publish::FragmentOverlap;

/// The tables that the tasks of a job have added to one commit, in a directory or in a bucket:
/// which hashes they have, and what their entries add up to.
#[derive(Debug)]
pub struct TaskTables {
    hashes: HashRanges,
    count: usize,
    highest: SequenceNumber,
    content: Option<ContentDigest>,
}

impl Default for TaskTables {
    fn default() -> Self {
        Self {
            hashes: HashRanges::default(),
            count: 0,
            highest: SequenceNumber(0),
            content: Some(ContentDigest::default()),
        }
    }
}

impl TaskTables {
    /// Whether the tables of a task overlap those of the tasks before it. O(log n) for each table.
    ///
    /// # Errors
    ///
    /// [`PublishError::TasksOverlap`] if they do, and `overlap` refuses it.
    pub fn overlap(
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

    /// Adds the tables of a task. `overlaps` is what [`TaskTables::overlap`] has said of it.
    pub fn add(&mut self, report: &TaskReport, overlaps: bool) {
        for table in &report.tables {
            self.hashes.join(table.meta.min_hash, table.meta.max_hash);
            self.highest = self.highest.max(table.sequence);
        }
        for blob in &report.blobs {
            self.highest = self.highest.max(SequenceNumber(blob.number.0));
        }
        self.count += report.tables.len();
        self.content = match (self.content, report.content) {
            (Some(mut all), Some(of_task)) if !overlaps => {
                all.combine(&of_task);
                Some(all)
            }
            _ => None,
        };
    }

    /// The highest number of the tasks' tables and blobs; 0 without one, as numbers start at 1.
    #[must_use]
    pub const fn highest(&self) -> SequenceNumber {
        self.highest
    }

    /// Number of tables.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The digest of their live entries. `None` if a task has none, or if tasks overlap, so that
    /// entries of one may hide those of another.
    #[must_use]
    pub const fn content(&self) -> Option<ContentDigest> {
        self.content
    }
}
